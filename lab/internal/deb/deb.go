// Package deb writes Debian binary packages and reads their control data.
// Rule: the same files give the same package.
package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/blakesmith/ar"
)

var epoch = time.Unix(1_700_000_000, 0).UTC()

// File is one file of a package; its content comes from Source, if that names
// a file, else from Content.
type File struct {
	Path    string // absolute
	Mode    int64
	Source  string
	Content string
}

// Package is what a .deb holds.
type Package struct {
	Name        string
	Version     string
	Depends     string
	Description string
	Files       []File
	Folders     []string // empty folders, absolute
	Conffiles   []string
	PostInst    string
}

// Filename is the package's conventional file name.
func (p Package) Filename() string { return fmt.Sprintf("%s_%s_amd64.deb", p.Name, p.Version) }

// Write writes the package. The data is not compressed: it is read once, from
// the next process.
func (p Package) Write(w io.Writer) error {
	data, sums, size, err := p.data()
	if err != nil {
		return fmt.Errorf("package %s: %w", p.Name, err)
	}
	control, err := p.control(sums, size)
	if err != nil {
		return fmt.Errorf("package %s: %w", p.Name, err)
	}
	a := ar.NewWriter(w)
	if err := a.WriteGlobalHeader(); err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		body []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", control}, {"data.tar", data}} {
		h := &ar.Header{Name: m.name, Mode: 0o100644, Size: int64(len(m.body)), ModTime: epoch}
		if err := a.WriteHeader(h); err != nil {
			return err
		}
		if _, err := a.Write(m.body); err != nil {
			return err
		}
	}
	return nil
}

// data packs the files; it also returns their checksums and their size in KiB.
func (p Package) data() (archive []byte, sums string, kib int64, err error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	seen := map[string]bool{}
	var folder func(string) error
	folder = func(dir string) error {
		if seen[dir] {
			return nil
		}
		if dir != "/" {
			if err := folder(path.Dir(dir)); err != nil {
				return err
			}
		}
		seen[dir] = true
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "." + strings.TrimSuffix(dir, "/") + "/", Mode: 0o755, ModTime: epoch, Format: tar.FormatGNU})
	}
	for _, d := range p.Folders {
		if err := folder(d); err != nil {
			return nil, "", 0, err
		}
	}
	var sumLines []string
	for _, f := range p.Files {
		body := []byte(f.Content)
		if f.Source != "" {
			if body, err = os.ReadFile(f.Source); err != nil {
				return nil, "", 0, err
			}
		}
		if err := folder(path.Dir(f.Path)); err != nil {
			return nil, "", 0, err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "." + f.Path, Size: int64(len(body)), Mode: f.Mode, ModTime: epoch, Format: tar.FormatGNU}); err != nil {
			return nil, "", 0, err
		}
		if _, err := w.Write(body); err != nil {
			return nil, "", 0, err
		}
		kib += int64(len(body)+1023) / 1024
		sumLines = append(sumLines, fmt.Sprintf("%x  %s\n", md5.Sum(body), strings.TrimPrefix(f.Path, "/")))
	}
	if err := w.Close(); err != nil { // before the bytes are taken: it pads
		return nil, "", 0, err
	}
	sort.Strings(sumLines)
	return buf.Bytes(), strings.Join(sumLines, ""), kib, nil
}

// control packs the package's description and its scripts.
func (p Package) control(sums string, kib int64) ([]byte, error) {
	var fields strings.Builder
	fmt.Fprintf(&fields, "Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: pawl-lab <pawl-lab@localhost>\n", p.Name, p.Version)
	fmt.Fprintf(&fields, "Installed-Size: %d\n", kib)
	if p.Depends != "" {
		fmt.Fprintf(&fields, "Depends: %s\n", p.Depends)
	}
	fmt.Fprintf(&fields, "Section: admin\nPriority: optional\nHomepage: https://kubernetes.io\nDescription: %s\n", p.Description)

	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	add := func(name, body string, mode int64) error {
		if body == "" {
			return nil
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Size: int64(len(body)), Mode: mode, ModTime: epoch, Format: tar.FormatGNU}); err != nil {
			return err
		}
		_, err := io.WriteString(w, body)
		return err
	}
	conffiles := ""
	for _, c := range p.Conffiles {
		conffiles += c + "\n"
	}
	if err := errors.Join(
		add("control", fields.String(), 0o644),
		add("md5sums", sums, 0o644),
		add("conffiles", conffiles, 0o644),
		add("postinst", p.PostInst, 0o755),
		w.Close(), z.Close(),
	); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// ReadControl returns a package's control fields as they stand in it.
func ReadControl(r io.Reader) (string, error) {
	a := ar.NewReader(r)
	for {
		h, err := a.Next()
		if err != nil {
			return "", fmt.Errorf("read package: no control.tar.gz: %w", err)
		}
		if strings.TrimSuffix(h.Name, "/") == "control.tar.gz" {
			break
		}
	}
	z, err := gzip.NewReader(a)
	if err != nil {
		return "", fmt.Errorf("read package: %w", err)
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err != nil {
			return "", fmt.Errorf("read package: no control file: %w", err)
		}
		if path.Clean(h.Name) == "control" {
			b, err := io.ReadAll(t)
			return string(b), err
		}
	}
}
