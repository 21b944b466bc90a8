package machine

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// filePrograms are coreutils 9.1 and tar 1.34, as far as pawl and the tests use them.
var filePrograms = map[string]program{
	"cat": cat, "install": install, "mv": mv, "cp": cp, "rm": rm, "dd": dd, "stat": stat, "du": du, "df": df, "tar": tarProgram,
	"sha256sum": sha256sum, "cmp": cmpProgram, "sync": syncProgram, "chmod": chmod, "chown": chown, "mkdir": mkdir, "mktemp": mktemp,
	"ls": ls, "touch": touch, "wc": wc, "head": headProgram, "tail": tailProgram, "seq": seq, "readlink": readlink, "sort": sortProgram,
	"basename": basename, "dirname": basename, "tee": tee, "ln": ln, "cut": cut, "rmdir": rmdir, "sed": sed,
}

func cat(p *process) int {
	o, code := p.options("cat", optSpec{exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) == 0 {
		o.args = []string{"-"}
	}
	for _, name := range o.args {
		if name == "-" {
			if _, err := io.Copy(p.out, p.in); err != nil {
				code = 1
			}
			continue
		}
		content, err := p.readFile(name)
		if name == "/dev/null" {
			continue
		}
		if err != nil {
			code = p.fail(1, "cat: %s: %s", name, reason(err))
			continue
		}
		_, _ = p.out.Write(content)
	}
	return code
}

func parseMode(text string) (os.FileMode, bool) {
	n, err := strconv.ParseUint(text, 8, 12)
	return os.FileMode(n), err == nil
}

// install is install -d -m MODE FOLDER... and install -m MODE FILE FILE.
func install(p *process) int {
	o, code := p.options("install", optSpec{short: "dm:o:g:", long: "directory,mode=,owner=,group=", exit: 1})
	if o == nil {
		return code
	}
	mode := os.FileMode(0o755)
	if text := o.value("m", "mode"); text != "" {
		var ok bool
		if mode, ok = parseMode(text); !ok {
			return p.fail(1, "install: invalid mode ‘%s’", text)
		}
	}
	if o.has("d", "directory") {
		for _, name := range o.args {
			if !p.exists(name) {
				if err := p.mkdirAll(path.Dir(p.abs(name)), 0o755); err != nil {
					return p.fail(1, "install: cannot create directory ‘%s’: %s", name, reason(err))
				}
				if err := p.mkdir(name, mode); err != nil {
					return p.fail(1, "install: cannot create directory ‘%s’: %s", name, reason(err))
				}
			}
			if err := p.chmod(name, mode); err != nil {
				return p.fail(1, "install: cannot change permissions of ‘%s’: %s", name, reason(err))
			}
		}
		return 0
	}
	if len(o.args) != 2 {
		return p.fail(1, "install: missing destination file operand after '%s'\nTry 'install --help' for more information.", strings.Join(o.args, " "))
	}
	from, to := o.args[0], o.args[1]
	var content []byte
	if from != "/dev/null" {
		var err error
		if content, err = p.readFile(from); err != nil {
			return p.fail(1, "install: cannot stat '%s': %s", from, reason(err))
		}
	}
	if info, err := p.stat(to); err == nil {
		if info.IsDir() {
			to = path.Join(to, path.Base(from))
		}
		_ = p.remove(to) // install(1) puts a new file in the place of the old one
	}
	if err := p.writeFile(to, content, mode); err != nil {
		return p.fail(1, "install: cannot create regular file '%s': %s", to, reason(err))
	}
	if err := p.chmod(to, mode); err != nil {
		return p.fail(1, "install: cannot change permissions of '%s': %s", to, reason(err))
	}
	return 0
}

// into is the path that from gets when it is moved or copied to to.
func (p *process) into(o *opts, from, to string) string {
	if info, err := p.stat(to); err == nil && info.IsDir() && !o.has("T", "no-target-directory") {
		return path.Join(to, path.Base(from))
	}
	return to
}

func mv(p *process) int {
	o, code := p.options("mv", optSpec{short: "Tf", long: "no-target-directory,force", exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) < 2 {
		return p.fail(1, "mv: missing destination file operand after '%s'\nTry 'mv --help' for more information.", strings.Join(o.args, " "))
	}
	last := o.args[len(o.args)-1]
	for _, from := range o.args[:len(o.args)-1] {
		to := p.into(o, from, last)
		info, err := p.lstat(from)
		if err != nil {
			code = p.fail(1, "mv: cannot stat '%s': %s", from, reason(err))
			continue
		}
		if there, err := p.lstat(to); err == nil && there.IsDir() && !info.IsDir() {
			code = p.fail(1, "mv: cannot overwrite directory '%s' with non-directory", to)
			continue
		}
		if err := p.rename(from, to); err != nil {
			code = p.fail(1, "mv: cannot move '%s' to '%s': %s", from, to, reason(err))
		}
	}
	return code
}

func cp(p *process) int {
	o, code := p.options("cp", optSpec{short: "Tfrap", long: "no-target-directory,force,recursive,archive,preserve?,no-preserve=", exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) < 2 {
		return p.fail(1, "cp: missing destination file operand after '%s'\nTry 'cp --help' for more information.", strings.Join(o.args, " "))
	}
	last := o.args[len(o.args)-1]
	for _, from := range o.args[:len(o.args)-1] {
		info, err := p.stat(from)
		if err != nil {
			code = p.fail(1, "cp: cannot stat '%s': %s", from, reason(err))
			continue
		}
		if info.IsDir() && !o.has("r", "a", "recursive", "archive") {
			code = p.fail(1, "cp: -r not specified; omitting directory '%s'", from)
			continue
		}
		if err := p.copyTree(from, p.into(o, from, last), o.has("p", "a", "preserve", "archive")); err != nil {
			var on *copyError
			errors.As(err, &on)
			code = p.fail(1, "cp: error writing '%s': %s", on.name, reason(on.err))
		}
	}
	return code
}

type copyError struct {
	name string
	err  error
}

func (e *copyError) Error() string { return e.name + ": " + e.err.Error() }
func (e *copyError) Unwrap() error { return e.err }

// copyTree copies a file or a folder. It can be killed between any two files.
func (p *process) copyTree(from, to string, preserve bool) error {
	info, err := p.stat(from)
	if err != nil {
		return &copyError{from, err}
	}
	if !info.IsDir() {
		content, err := p.readFile(from)
		if err != nil {
			return &copyError{from, err}
		}
		if err := p.writeFile(to, content, info.Mode()); err != nil {
			return &copyError{to, err}
		}
		if preserve {
			if err := p.chmod(to, info.Mode()); err != nil {
				return &copyError{to, err}
			}
		}
		return nil
	}
	if !p.exists(to) {
		if err := p.mkdir(to, info.Mode()); err != nil {
			return &copyError{to, err}
		}
	}
	entries, err := p.readDir(from)
	if err != nil {
		return &copyError{from, err}
	}
	for _, e := range entries {
		if err := p.copyTree(path.Join(from, e.Name()), path.Join(to, e.Name()), preserve); err != nil {
			return err
		}
	}
	return nil
}

func rm(p *process) int {
	o, code := p.options("rm", optSpec{short: "rRf", long: "recursive,force", exit: 1})
	if o == nil {
		return code
	}
	force := o.has("f", "force")
	if len(o.args) == 0 && !force {
		return p.fail(1, "rm: missing operand\nTry 'rm --help' for more information.")
	}
	for _, name := range o.args {
		info, err := p.lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && force:
			continue
		case err != nil:
			code = p.fail(1, "rm: cannot remove '%s': %s", name, reason(err))
			continue
		case info.IsDir() && !o.has("r", "R", "recursive"):
			code = p.fail(1, "rm: cannot remove '%s': Is a directory", name)
			continue
		}
		if err := p.removeAll(name); err != nil {
			code = p.fail(1, "rm: cannot remove '%s': %s", name, reason(err))
		}
	}
	return code
}

func rmdir(p *process) int {
	o, code := p.options("rmdir", optSpec{exit: 1})
	if o == nil {
		return code
	}
	for _, name := range o.args {
		if err := p.remove(name); err != nil {
			code = p.fail(1, "rmdir: failed to remove '%s': %s", name, reason(err))
		}
	}
	return code
}

// dd copies standard input, or if=, to standard output, or of=.
func dd(p *process) int {
	set := map[string]string{}
	for _, arg := range p.argv[1:] {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || !slices.Contains([]string{"if", "of", "conv", "status", "bs", "count"}, key) {
			return p.fail(1, "dd: unrecognized operand ‘%s’\nTry 'dd --help' for more information.", arg)
		}
		set[key] = value
	}
	if c := set["conv"]; c != "" && c != "fsync" && c != "notrunc" {
		return p.fail(1, "dd: invalid conversion: ‘%s’\nTry 'dd --help' for more information.", c)
	}
	in := p.in
	if name := set["if"]; name != "" {
		if name == "/dev/zero" {
			in = zero{}
		} else {
			content, err := p.readFile(name)
			if err != nil {
				return p.fail(1, "dd: failed to open '%s': %s", name, reason(err))
			}
			in = bytes.NewReader(content)
		}
	}
	if n, err := strconv.ParseInt(set["count"], 10, 64); err == nil {
		size := int64(512)
		if bs, ok := bytesOf(set["bs"]); ok {
			size = bs
		}
		in = io.LimitReader(in, n*size)
	}
	out := p.out
	if name := set["of"]; name != "" {
		f, err := p.open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
		if err != nil {
			return p.fail(1, "dd: failed to open '%s': %s", name, reason(err))
		}
		defer f.Close()
		out = f
	}
	n, err := io.Copy(out, in)
	if err != nil {
		return p.fail(1, "dd: error writing '%s': %s", set["of"], reason(err))
	}
	if set["status"] != "none" {
		fmt.Fprintf(p.err, "%d bytes copied\n", n)
	}
	return 0
}

type zero struct{}

func (zero) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// bytesOf reads a size such as 4096, 64K, 1M.
func bytesOf(text string) (int64, bool) {
	factor := int64(1)
	for suffix, f := range map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			text, factor = n, f
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n * factor, err == nil
}

func stat(p *process) int {
	o, code := p.options("stat", optSpec{short: "c:f", long: "format=,file-system", exit: 1})
	if o == nil {
		return code
	}
	if o.has("f", "file-system") {
		return p.statFilesystems(o)
	}
	format := o.value("c", "format")
	if format == "" {
		format = "  File: %n"
	}
	for _, name := range o.args {
		info, err := p.lstat(name)
		if err != nil {
			code = p.fail(1, "stat: cannot statx '%s': %s", name, reason(err))
			continue
		}
		p.printf("%s\n", p.expandStat(format, name, info))
	}
	return code
}

// statFilesystems is stat -f with a format: the disk is ext4, which coreutils calls ext2/ext3.
func (p *process) statFilesystems(o *opts) int {
	format := o.value("c", "format")
	if format == "" {
		return p.fail(1, "stat: only -f with a format is modelled")
	}
	code := 0
	for _, name := range o.args {
		if _, err := p.stat(name); err != nil {
			code = p.fail(1, "stat: cannot read file system information for '%s': %s", name, reason(err))
			continue
		}
		const block = 4096
		kind, available := "ext2/ext3", p.available(name)
		switch at := p.abs(name); {
		case at == cgroupFolder && !p.m.opts.CgroupV1:
			kind, available = "cgroup2fs", 0
		case at == cgroupFolder || inMemory(at):
			kind = "tmpfs"
		}
		p.printf("%s\n", strings.NewReplacer("%n", name, "%T", kind, "%S", strconv.Itoa(block), "%b", strconv.FormatInt(size/block, 10),
			"%a", strconv.FormatInt(available/block, 10)).Replace(format))
	}
	return code
}

func (p *process) expandStat(format, name string, info fs.FileInfo) string {
	device := "2049"
	if inMemory(p.abs(name)) {
		device = "24"
	}
	return strings.NewReplacer("%n", name, "%s", strconv.FormatInt(info.Size(), 10), "%Y", strconv.FormatInt(info.ModTime().Unix(), 10),
		"%a", strconv.FormatUint(uint64(info.Mode().Perm()), 8), "%d", device, "%u", "0", "%g", "0", "%U", "root", "%G", "root",
		"%F", kindOf(info)).Replace(format)
}

func kindOf(info fs.FileInfo) string {
	switch {
	case info.IsDir():
		return "directory"
	case info.Mode()&fs.ModeSymlink != 0:
		return "symbolic link"
	case info.Size() == 0:
		return "regular empty file"
	}
	return "regular file"
}

// sizeOf is the sum of the sizes under name; a folder counts 4096, as on ext4.
func (p *process) sizeOf(name string) (int64, error) {
	info, err := p.lstat(name)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		return info.Size(), nil
	}
	total := int64(4096)
	entries, err := p.readDir(name)
	for _, e := range entries {
		n, err := p.sizeOf(path.Join(name, e.Name()))
		if err == nil {
			total += n
		}
	}
	return total, err
}

func du(p *process) int {
	o, code := p.options("du", optSpec{short: "bscS", long: "bytes,summarize,total", exit: 1})
	if o == nil {
		return code
	}
	if !o.has("s", "summarize") {
		return p.fail(1, "du: only -s is modelled")
	}
	var total int64
	for _, name := range o.args {
		n, err := p.sizeOf(name)
		if err != nil {
			code = p.fail(1, "du: cannot access '%s': %s", name, reason(err))
			continue
		}
		total += n
		p.printf("%d\t%s\n", inUnits(o, n), name)
	}
	if o.has("c", "total") {
		p.printf("%d\ttotal\n", inUnits(o, total))
	}
	return code
}

func inUnits(o *opts, n int64) int64 {
	if o.has("b", "bytes") {
		return n
	}
	return (n + 1023) / 1024
}

// size and free are the size of the disk and the room on it, in bytes.
const (
	size = 100 << 30
	free = 40 << 30
)

// available is the room on the filesystem of name.
func (p *process) available(name string) int64 {
	if p.room(p.abs(name)) != nil {
		return 0
	}
	return free
}

func df(p *process) int {
	o, code := p.options("df", optSpec{long: "block-size=,output=", exit: 1})
	if o == nil {
		return code
	}
	if o.value("output") != "avail" || len(o.args) == 0 {
		return p.fail(1, "df: only --output=avail PATH is modelled")
	}
	block, ok := bytesOf(o.value("block-size"))
	if !ok || block == 0 {
		block = 1024
	}
	p.printf("%11s\n", "Avail")
	for _, name := range o.args {
		if _, err := p.stat(name); err != nil {
			code = p.fail(1, "df: %s: %s", name, reason(err))
			continue
		}
		p.printf("%d\n", p.available(name)/block)
	}
	return code
}

// tarProgram is tar --create, --list and --extract.
func tarProgram(p *process) int {
	o, code := p.options("tar", optSpec{short: "cxtf:C:", long: "create,extract,list,file=,numeric-owner,exclude=,directory=", exit: 64})
	if o == nil {
		return code
	}
	file := o.value("f", "file")
	if file == "" {
		return p.fail(2, "tar: Refusing to read archive contents from terminal (missing -f option?)\ntar: Error is not recoverable: exiting now")
	}
	if dir := o.value("C", "directory"); dir != "" {
		if !p.exists(dir) {
			return p.fail(2, "tar: %s: Cannot open: No such file or directory\ntar: Error is not recoverable: exiting now", dir)
		}
		file = p.abs(file)
		p.dir = p.abs(dir)
	}
	switch {
	case o.has("c", "create"):
		return p.tarCreate(o, file)
	case o.has("t", "list"), o.has("x", "extract"):
		return p.tarRead(o, file)
	}
	return p.fail(2, "tar: You must specify one of the '-Acdtrux', '--delete' or '--test-label' options\nTry 'tar --help' or 'tar --usage' for more information.")
}

func (p *process) tarCreate(o *opts, name string) int {
	f, err := p.open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return p.fail(2, "tar: %s: Cannot open: %s\ntar: Error is not recoverable: exiting now", name, reason(err))
	}
	defer f.Close()
	buffer := bufio.NewWriter(f)
	w := tar.NewWriter(buffer)
	code := 0
	var add func(member string) error
	add = func(member string) error {
		if slices.Contains(o.set["exclude"], member) {
			return nil
		}
		info, err := p.lstat(member)
		if err != nil {
			code = p.fail(2, "tar: %s: Cannot stat: %s", member, reason(err))
			return nil
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		header.Name, header.Uid, header.Gid, header.Uname, header.Gname = member, 0, 0, "", ""
		if info.IsDir() {
			header.Name += "/"
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if !info.IsDir() {
			content, err := p.readFile(member)
			if err != nil {
				return err
			}
			_, err = w.Write(content)
			return err
		}
		entries, err := p.readDir(member)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := add(path.Join(member, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}
	for _, member := range o.args {
		if err = add(member); err != nil {
			break
		}
	}
	if err := errors.Join(err, w.Close(), buffer.Flush()); err != nil {
		return p.fail(2, "tar: %s: Cannot write: %s\ntar: Error is not recoverable: exiting now", name, reason(err))
	}
	if code != 0 {
		fmt.Fprintln(p.err, "tar: Exiting with failure status due to previous errors")
	}
	return code
}

func (p *process) tarRead(o *opts, name string) int {
	content, err := p.readFile(name)
	if err != nil {
		return p.fail(2, "tar: %s: Cannot open: %s\ntar: Error is not recoverable: exiting now", name, reason(err))
	}
	wanted := map[string]bool{}
	for _, member := range o.args {
		wanted[member] = false
	}
	r := tar.NewReader(bytes.NewReader(content))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p.fail(2, "tar: This does not look like a tar archive\ntar: Exiting with failure status due to previous errors")
		}
		if len(o.args) > 0 {
			if _, ok := wanted[header.Name]; !ok {
				continue
			}
			wanted[header.Name] = true
		}
		if o.has("t", "list") {
			p.printf("%s\n", header.Name)
			continue
		}
		if err := p.extract(header, r); err != nil {
			return p.fail(2, "tar: %s: Cannot open: %s", header.Name, reason(err))
		}
	}
	code := 0
	for _, member := range o.args {
		if !wanted[member] {
			code = p.fail(2, "tar: %s: Not found in archive", member)
		}
	}
	if code != 0 {
		fmt.Fprintln(p.err, "tar: Exiting with failure status due to previous errors")
	}
	return code
}

func (p *process) extract(header *tar.Header, r io.Reader) error {
	if header.FileInfo().IsDir() {
		return p.mkdirAll(header.Name, header.FileInfo().Mode())
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := p.mkdirAll(path.Dir(p.abs(header.Name)), 0o755); err != nil {
		return err
	}
	return p.writeFile(header.Name, content, header.FileInfo().Mode())
}

func sha256sum(p *process) int {
	o, code := p.options("sha256sum", optSpec{short: "c", long: "check,quiet", exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) == 0 {
		o.args = []string{"-"}
	}
	for _, name := range o.args {
		content, err := p.input(name)
		if err != nil {
			code = p.fail(1, "sha256sum: %s: %s", name, reason(err))
			continue
		}
		if !o.has("c", "check") {
			p.printf("%s  %s\n", sum(content), name)
			continue
		}
		if c := p.checkSums(o, string(content)); c != 0 {
			code = c
		}
	}
	return code
}

func (p *process) checkSums(o *opts, list string) int {
	bad := 0
	for line := range strings.Lines(list) {
		want, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		if !ok {
			continue
		}
		content, err := p.readFile(name)
		switch {
		case err != nil:
			bad++
			p.printf("%s: FAILED open or read\n", name)
		case sum(content) != want:
			bad++
			p.printf("%s: FAILED\n", name)
		case !o.has("quiet"):
			p.printf("%s: OK\n", name)
		}
	}
	if bad > 0 {
		return p.fail(1, "sha256sum: WARNING: %d computed checksum did NOT match", bad)
	}
	return 0
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

// input is a file, or standard input for "-".
func (p *process) input(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(p.in)
	}
	return p.readFile(name)
}

func cmpProgram(p *process) int {
	o, code := p.options("cmp", optSpec{short: "s", long: "silent", exit: 2})
	if o == nil {
		return code
	}
	if len(o.args) != 2 {
		return p.fail(2, "cmp: missing operand after 'cmp'")
	}
	var contents [2][]byte
	for i, name := range o.args {
		var err error
		if contents[i], err = p.readFile(name); err != nil {
			return p.fail(2, "cmp: %s: %s", name, reason(err))
		}
	}
	if bytes.Equal(contents[0], contents[1]) {
		return 0
	}
	if !o.has("s", "silent") {
		p.printf("%s %s differ: byte 1, line 1\n", o.args[0], o.args[1])
	}
	return 1
}

func syncProgram(p *process) int {
	o, code := p.options("sync", optSpec{short: "df", exit: 1})
	if o == nil {
		return code
	}
	for _, name := range o.args {
		if _, err := p.stat(name); err != nil {
			code = p.fail(1, "sync: error opening '%s': %s", name, reason(err))
		}
	}
	return code
}

func chmod(p *process) int {
	o, code := p.options("chmod", optSpec{short: "R", long: "recursive", exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) < 2 {
		return p.fail(1, "chmod: missing operand\nTry 'chmod --help' for more information.")
	}
	mode, ok := parseMode(o.args[0])
	if !ok {
		return p.fail(1, "chmod: invalid mode: ‘%s’\nTry 'chmod --help' for more information.", o.args[0])
	}
	for _, name := range o.args[1:] {
		if _, err := p.stat(name); err != nil {
			code = p.fail(1, "chmod: cannot access '%s': %s", name, reason(err))
		} else if err := p.chmod(name, mode); err != nil {
			code = p.fail(1, "chmod: changing permissions of '%s': %s", name, reason(err))
		}
	}
	return code
}

// chown only knows root, whose everything is already.
func chown(p *process) int {
	o, code := p.options("chown", optSpec{short: "R", long: "recursive", exit: 1})
	if o == nil {
		return code
	}
	if len(o.args) < 2 {
		return p.fail(1, "chown: missing operand\nTry 'chown --help' for more information.")
	}
	if owner, _, _ := strings.Cut(o.args[0], ":"); owner != "0" && owner != "root" {
		return p.fail(1, "chown: invalid user: ‘%s’", o.args[0])
	}
	for _, name := range o.args[1:] {
		if _, err := p.stat(name); err != nil {
			code = p.fail(1, "chown: cannot access '%s': %s", name, reason(err))
		} else if p.user != "root" {
			code = p.fail(1, "chown: changing ownership of '%s': Operation not permitted", name)
		}
	}
	return code
}

func mkdir(p *process) int {
	o, code := p.options("mkdir", optSpec{short: "pm:", long: "parents,mode=", exit: 1})
	if o == nil {
		return code
	}
	mode := os.FileMode(0o755)
	if text := o.value("m", "mode"); text != "" {
		var ok bool
		if mode, ok = parseMode(text); !ok {
			return p.fail(1, "mkdir: invalid mode ‘%s’", text)
		}
	}
	for _, name := range o.args {
		do := p.mkdir
		if o.has("p", "parents") {
			do = p.mkdirAll
		}
		if err := do(name, mode); err != nil {
			code = p.fail(1, "mkdir: cannot create directory ‘%s’: %s", name, reason(err))
		}
	}
	return code
}

func mktemp(p *process) int {
	o, code := p.options("mktemp", optSpec{short: "d", long: "directory", exit: 1})
	if o == nil {
		return code
	}
	template := "/tmp/tmp.XXXXXXXXXX"
	if len(o.args) > 0 {
		template = o.args[0]
	}
	stem := strings.TrimRight(template, "X")
	if len(template)-len(stem) < 3 {
		return p.fail(1, "mktemp: too few X's in template ‘%s’", template)
	}
	name := stem + rand.Text()[:len(template)-len(stem)]
	var err error
	if o.has("d", "directory") {
		err = p.mkdir(name, 0o700)
	} else {
		err = p.writeFile(name, nil, 0o600)
	}
	if err != nil {
		kind := "file"
		if o.has("d", "directory") {
			kind = "directory"
		}
		return p.fail(1, "mktemp: failed to create %s via template ‘%s’: %s", kind, template, reason(err))
	}
	p.printf("%s\n", name)
	return 0
}

func ls(p *process) int {
	o, code := p.options("ls", optSpec{short: "la1d", long: "all,time-style=", exit: 2})
	if o == nil {
		return code
	}
	if len(o.args) == 0 {
		o.args = []string{"."}
	}
	list := func(name string, info fs.FileInfo) {
		if o.has("l") {
			p.printf("%s 1 root root %d %s %s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format("2006-01-02 15:04:05.000000000 +0000"), name)
		} else {
			p.printf("%s\n", name)
		}
	}
	for _, name := range o.args {
		info, err := p.lstat(name)
		if err != nil {
			code = p.fail(2, "ls: cannot access '%s': %s", name, reason(err))
			continue
		}
		if !info.IsDir() || o.has("d") {
			list(name, info)
			continue
		}
		if len(o.args) > 1 {
			p.printf("%s:\n", name)
		}
		entries, err := p.readDir(name)
		if err != nil {
			code = p.fail(2, "ls: cannot open directory '%s': %s", name, reason(err))
			continue
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && (o.has("a", "all") || !strings.HasPrefix(e.Name(), ".")) {
				list(e.Name(), info)
			}
		}
	}
	return code
}

func touch(p *process) int {
	o, code := p.options("touch", optSpec{short: "c", exit: 1})
	if o == nil {
		return code
	}
	for _, name := range o.args {
		if err := p.touch(name); err != nil {
			code = p.fail(1, "touch: cannot touch '%s': %s", name, reason(err))
		}
	}
	return code
}

func wc(p *process) int {
	o, code := p.options("wc", optSpec{short: "lc", long: "lines,bytes", exit: 1})
	if o == nil {
		return code
	}
	names := o.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		content, err := p.input(name)
		if err != nil {
			code = p.fail(1, "wc: %s: %s", name, reason(err))
			continue
		}
		n := bytes.Count(content, []byte("\n"))
		if o.has("c", "bytes") {
			n = len(content)
		}
		if len(o.args) == 0 {
			p.printf("%d\n", n)
		} else {
			p.printf("%d %s\n", n, name)
		}
	}
	return code
}

func headProgram(p *process) int {
	o, code := p.options("head", optSpec{short: "n:c:", long: "lines=,bytes=", exit: 1})
	if o == nil {
		return code
	}
	name := "-"
	if len(o.args) > 0 {
		name = o.args[0]
	}
	if text := o.value("c", "bytes"); text != "" {
		n, ok := bytesOf(text)
		if !ok {
			return p.fail(1, "head: invalid number of bytes: ‘%s’", text)
		}
		in := p.in
		switch name {
		case "/dev/zero":
			in = zero{}
		case "/dev/urandom":
			in = rand.Reader
		case "-":
		default:
			content, err := p.readFile(name)
			if err != nil {
				return p.fail(1, "head: cannot open '%s' for reading: %s", name, reason(err))
			}
			in = bytes.NewReader(content)
		}
		if _, err := io.Copy(p.out, io.LimitReader(in, n)); err != nil {
			return p.fail(1, "head: error writing 'standard output': %s", reason(err))
		}
		return 0
	}
	lines, err := p.lines("head", o, name)
	if err != nil {
		return 1
	}
	n := lineCount(o)
	for _, line := range lines[:min(n, len(lines))] {
		p.printf("%s", line)
	}
	return 0
}

func tailProgram(p *process) int {
	o, code := p.options("tail", optSpec{short: "n:", long: "lines=", exit: 1})
	if o == nil {
		return code
	}
	name := "-"
	if len(o.args) > 0 {
		name = o.args[0]
	}
	lines, err := p.lines("tail", o, name)
	if err != nil {
		return 1
	}
	for _, line := range lines[max(0, len(lines)-lineCount(o)):] {
		p.printf("%s", line)
	}
	return 0
}

func lineCount(o *opts) int {
	if n, err := strconv.Atoi(o.value("n", "lines")); err == nil {
		return n
	}
	return 10
}

func (p *process) lines(program string, _ *opts, name string) ([]string, error) {
	content, err := p.input(name)
	if err != nil {
		p.fail(1, "%s: cannot open '%s' for reading: %s", program, name, reason(err))
		return nil, err
	}
	return slices.Collect(strings.Lines(string(content))), nil
}

func seq(p *process) int {
	first, last := 1, 0
	var err error
	switch args := p.argv[1:]; len(args) {
	case 1:
		last, err = strconv.Atoi(args[0])
	case 2:
		var err2 error
		first, err = strconv.Atoi(args[0])
		last, err2 = strconv.Atoi(args[1])
		err = errors.Join(err, err2)
	default:
		return p.fail(1, "seq: missing operand\nTry 'seq --help' for more information.")
	}
	if err != nil {
		return p.fail(1, "seq: invalid floating point argument: ‘%s’\nTry 'seq --help' for more information.", strings.Join(p.argv[1:], " "))
	}
	for i := first; i <= last; i++ {
		p.printf("%d\n", i)
	}
	return 0
}

// readlink knows the links of the disk and /proc/PID/exe, which the kernel marks when the file has been replaced.
func readlink(p *process) int {
	o, code := p.options("readlink", optSpec{short: "fn", exit: 1})
	if o == nil {
		return code
	}
	for _, name := range o.args {
		if target, ok := p.processLink(name); ok {
			if target == "" {
				code = 1
			} else {
				p.printf("%s\n", target)
			}
			continue
		}
		target, err := p.m.root.Readlink(inside(p.abs(name)))
		switch {
		case err == nil:
			p.printf("%s\n", target)
		case o.has("f"):
			p.printf("%s\n", p.abs(name))
		default:
			code = 1
		}
	}
	return code
}

func (p *process) processLink(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "/proc/")
	if !ok {
		return "", false
	}
	number, file, _ := strings.Cut(rest, "/")
	if file != "exe" {
		return "", false
	}
	pid, _ := strconv.Atoi(number)
	p.m.mu.Lock()
	target := p.m.processes[pid]
	p.m.mu.Unlock()
	if target == nil || p.user != "root" && target.user != p.user {
		return "", true
	}
	exe := "/usr/bin/" + path.Base(target.argv[0])
	if target.exe != nil {
		if now, err := p.m.root.Stat(inside(exe)); err != nil || !os.SameFile(now, target.exe) {
			exe += " (deleted)"
		}
	}
	return exe, true
}

func sortProgram(p *process) int {
	o, code := p.options("sort", optSpec{short: "ur", long: "unique,reverse", exit: 2})
	if o == nil {
		return code
	}
	var all []string
	if len(o.args) == 0 {
		o.args = []string{"-"}
	}
	for _, name := range o.args {
		lines, err := p.lines("sort", o, name)
		if err != nil {
			return 2
		}
		all = append(all, lines...)
	}
	slices.Sort(all)
	if o.has("u", "unique") {
		all = slices.Compact(all)
	}
	if o.has("r", "reverse") {
		slices.Reverse(all)
	}
	p.printf("%s", strings.Join(all, ""))
	return 0
}

func cut(p *process) int {
	o, code := p.options("cut", optSpec{short: "d:f:", long: "delimiter=,fields=", exit: 1})
	if o == nil {
		return code
	}
	field, err := strconv.Atoi(o.value("f", "fields"))
	if err != nil || field < 1 {
		return p.fail(1, "cut: you must specify a list of bytes, characters, or fields\nTry 'cut --help' for more information.")
	}
	delimiter := o.value("d", "delimiter")
	if delimiter == "" {
		delimiter = "\t"
	}
	content, err := io.ReadAll(p.in)
	if err != nil {
		return 1
	}
	for line := range strings.Lines(string(content)) {
		parts := strings.Split(strings.TrimRight(line, "\n"), delimiter)
		switch {
		case len(parts) == 1:
			p.printf("%s\n", parts[0])
		case field <= len(parts):
			p.printf("%s\n", parts[field-1])
		default:
			p.printf("\n")
		}
	}
	return 0
}

func basename(p *process) int {
	name := path.Base(p.argv[0])
	if len(p.argv) < 2 {
		return p.fail(1, "%s: missing operand\nTry '%s --help' for more information.", name, name)
	}
	if name == "dirname" {
		p.printf("%s\n", path.Dir(p.argv[1]))
		return 0
	}
	base := path.Base(p.argv[1])
	if len(p.argv) > 2 {
		base = strings.TrimSuffix(base, p.argv[2])
	}
	p.printf("%s\n", base)
	return 0
}

func tee(p *process) int {
	o, code := p.options("tee", optSpec{short: "a", long: "append", exit: 1})
	if o == nil {
		return code
	}
	content, err := io.ReadAll(p.in)
	if err != nil {
		return 1
	}
	_, _ = p.out.Write(content)
	for _, name := range o.args {
		if o.has("a", "append") {
			err = p.appendFile(name, string(content))
		} else {
			err = p.writeFile(name, content, 0o666)
		}
		if err != nil {
			code = p.fail(1, "tee: %s: %s", name, reason(err))
		}
	}
	return code
}

func ln(p *process) int {
	o, code := p.options("ln", optSpec{short: "sfT", exit: 1})
	if o == nil {
		return code
	}
	if !o.has("s") || len(o.args) != 2 {
		return p.fail(1, "ln: only symbolic links are modelled")
	}
	if o.has("f") {
		_ = p.remove(o.args[1])
	}
	err := p.change(func() error { return p.m.root.Symlink(o.args[0], inside(p.abs(o.args[1]))) })
	if err != nil {
		return p.fail(1, "ln: failed to create symbolic link '%s': %s", o.args[1], reason(err))
	}
	return 0
}
