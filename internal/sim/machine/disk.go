package machine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// inside is the path in the disk's folder.
func inside(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

// inMemory reports whether the path is on a filesystem that is in memory: empty after a boot and never full.
func inMemory(name string) bool { return name == "/run" || strings.HasPrefix(name, "/run/") }

// change does something to the disk for a process that is alive, and refuses it to one that is not.
func (p *process) change(do func() error) error {
	p.m.disk.RLock()
	defer p.m.disk.RUnlock()
	if p.ctx.Err() != nil {
		return errPower
	}
	return do()
}

// room returns nil when there is room for more on the filesystem of name.
func (p *process) room(name string) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.m.faults.diskFull && !inMemory(name) {
		return syscall.ENOSPC
	}
	return nil
}

// access returns nil when the process's user may do what bits (4 read, 2 write, 1 search) say. Everything on the disk
// is root's, except what is under the user's home; the group counts for nobody.
func (p *process) access(name string, bits fs.FileMode) error {
	if p.user == "root" {
		return nil
	}
	name = p.abs(name)
	at, left := "/", strings.Split(strings.Trim(name, "/"), "/")
	for i := 0; ; i++ {
		info, err := p.m.root.Stat(inside(at))
		if err != nil {
			return err
		}
		need := fs.FileMode(1)
		if i == len(left) || name == "/" {
			need = bits
		}
		mode := info.Mode().Perm()
		if own := home(p.user); at == own || strings.HasPrefix(at, own+"/") {
			mode >>= 6
		}
		if mode&need != need {
			return fs.ErrPermission
		}
		if i == len(left) || name == "/" {
			return nil
		}
		at = path.Join(at, left[i])
	}
}

// accessParent is access to the folder above.
func (p *process) accessParent(name string) error { return p.access(path.Dir(p.abs(name)), 3) }

func (p *process) stat(name string) (fs.FileInfo, error) {
	if err := p.searchable(name); err != nil {
		return nil, err
	}
	return p.m.root.Stat(inside(p.abs(name)))
}

func (p *process) lstat(name string) (fs.FileInfo, error) {
	if err := p.searchable(name); err != nil {
		return nil, err
	}
	return p.m.root.Lstat(inside(p.abs(name)))
}

// searchable returns nil when the folders above name may be passed.
func (p *process) searchable(name string) error {
	if p.user == "root" || p.abs(name) == "/" {
		return nil
	}
	return p.access(path.Dir(p.abs(name)), 1)
}

func (p *process) exists(name string) bool {
	_, err := p.stat(name)
	return err == nil
}

func (p *process) readFile(name string) ([]byte, error) {
	if p.ctx.Err() != nil {
		return nil, errPower
	}
	if err := p.access(name, 4); err != nil {
		return nil, err
	}
	if info, err := p.m.root.Stat(inside(p.abs(name))); err == nil && info.IsDir() {
		return nil, syscall.EISDIR
	}
	return p.m.root.ReadFile(inside(p.abs(name)))
}

func (p *process) readDir(name string) ([]fs.DirEntry, error) {
	if err := p.access(name, 4); err != nil {
		return nil, err
	}
	f, err := p.m.root.Open(inside(p.abs(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	sortEntries(entries)
	return entries, err
}

// umask is that of every process of the machine.
const umask = 0o022

// open opens a file as open(2) does.
func (p *process) open(name string, flag int, mode os.FileMode) (*file, error) {
	name = p.abs(name)
	if err := p.access(name, map[bool]fs.FileMode{true: 2, false: 4}[flag&(os.O_WRONLY|os.O_RDWR) != 0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE) == 0 {
		f, err := p.m.root.Open(inside(name))
		if err != nil {
			return nil, err
		}
		return &file{f, p, name}, nil
	}
	var f *os.File
	err := p.change(func() error {
		_, missing := p.m.root.Stat(inside(name))
		if missing != nil && flag&os.O_CREATE != 0 {
			if err := p.accessParent(name); err != nil {
				return err
			}
		}
		var err error
		if f, err = p.m.root.OpenFile(inside(name), flag, mode.Perm()); err != nil {
			return err
		}
		if missing != nil {
			return p.m.root.Chmod(inside(name), mode.Perm()&^umask)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &file{f, p, name}, nil
}

// file is an open file of the disk, which can get full. It has no other method to write, so that none goes around it.
type file struct {
	f    *os.File
	p    *process
	name string
}

func (f *file) Read(b []byte) (int, error) { return f.f.Read(b) }
func (f *file) Close() error               { return f.f.Close() }

func (f *file) Write(b []byte) (n int, err error) {
	err = f.p.change(func() error {
		if len(b) > 0 {
			if err := f.p.room(f.name); err != nil {
				return err
			}
		}
		n, err = f.f.Write(b)
		return err
	})
	return n, err
}

// writeFile writes a whole file under its own name; a process that is killed meanwhile leaves a part.
func (p *process) writeFile(name string, content []byte, mode os.FileMode) error {
	f, err := p.open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(content)
	return err
}

func (p *process) appendFile(name, text string) error {
	f, err := p.open(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.WriteString(f, text)
	return err
}

func (p *process) mkdir(name string, mode os.FileMode) error {
	name = p.abs(name)
	if err := p.accessParent(name); err != nil {
		return err
	}
	return p.change(func() error {
		if err := p.room(name); err != nil {
			return err
		}
		if err := p.m.root.Mkdir(inside(name), mode.Perm()); err != nil {
			return err
		}
		return p.m.root.Chmod(inside(name), mode.Perm())
	})
}

func (p *process) mkdirAll(name string, mode os.FileMode) error {
	name = p.abs(name)
	if p.exists(name) {
		return nil
	}
	if err := p.mkdirAll(path.Dir(name), mode); err != nil {
		return err
	}
	return p.mkdir(name, mode)
}

func (p *process) rename(from, to string) error {
	if err := p.accessParent(from); err != nil {
		return err
	}
	if err := p.accessParent(to); err != nil {
		return err
	}
	return p.change(func() error { return p.m.root.Rename(inside(p.abs(from)), inside(p.abs(to))) })
}

func (p *process) remove(name string) error {
	if err := p.accessParent(name); err != nil {
		return err
	}
	return p.change(func() error { return p.m.root.Remove(inside(p.abs(name))) })
}

func (p *process) removeAll(name string) error {
	if err := p.accessParent(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.change(func() error { return p.m.root.RemoveAll(inside(p.abs(name))) })
}

func (p *process) chmod(name string, mode os.FileMode) error {
	if p.user != "root" && !strings.HasPrefix(p.abs(name), home(p.user)+"/") {
		return syscall.EPERM
	}
	return p.change(func() error { return p.m.root.Chmod(inside(p.abs(name)), mode.Perm()) })
}

func (p *process) touch(name string) error {
	if !p.exists(name) {
		return p.writeFile(name, nil, 0o666)
	}
	if err := p.access(name, 2); err != nil {
		return err
	}
	now := time.Now()
	return p.change(func() error { return p.m.root.Chtimes(inside(p.abs(name)), now, now) })
}

// reason is an error in the words of strerror(3).
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EPERM):
		return "Permission denied"
	case errors.Is(err, syscall.EPERM):
		return "Operation not permitted"
	case errors.Is(err, fs.ErrExist):
		return "File exists"
	case errors.Is(err, syscall.ENOSPC):
		return "No space left on device"
	case errors.Is(err, syscall.EISDIR):
		return "Is a directory"
	case errors.Is(err, syscall.ENOTDIR):
		return "Not a directory"
	case errors.Is(err, syscall.ENOTEMPTY):
		return "Directory not empty"
	}
	return err.Error()
}
