// Package aptrepo lays out signed package repositories the way pkgs.k8s.io
// does: one flat repository for each minor, with its key beside it.
package aptrepo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/lab/internal/deb"
	"github.com/pawl-dev/pawl/lab/internal/versions"
)

// Base is the part of a repository's path before the minor.
const Base = "core:/stable:"

// Path is a minor's repository below the server's root, for the minor "v1.37".
func Path(minor string) string { return Base + "/" + minor + "/deb" }

// Entry is one package of an index.
type Entry struct {
	Control  string // the package's own fields
	Filename string // relative to the repository
	Size     int64
	SHA256   string
}

// Write makes the repositories of the given versions below root. packages
// tells where a version's .deb files are.
func Write(root string, list []string, packages func(version string) string, key *Key) error {
	minors := map[string][]string{}
	for _, v := range list {
		minors[versions.Minor(v)] = append(minors[versions.Minor(v)], v)
	}
	for minor, members := range minors {
		if err := writeMinor(filepath.Join(root, filepath.FromSlash(Path(minor))), minor, members, packages, key); err != nil {
			return fmt.Errorf("repository %s: %w", minor, err)
		}
	}
	return nil
}

func writeMinor(dir, minor string, members []string, packages func(string) string, key *Key) error {
	if err := os.MkdirAll(filepath.Join(dir, "amd64"), 0o755); err != nil {
		return err
	}
	var entries []Entry
	seen := map[string]bool{}
	for _, v := range members {
		files, err := filepath.Glob(filepath.Join(packages(v), "*.deb"))
		if err != nil {
			return err
		}
		for _, f := range files {
			name := filepath.Join("amd64", filepath.Base(f))
			if seen[name] {
				continue
			}
			seen[name] = true
			if err := os.Link(f, filepath.Join(dir, name)); err != nil {
				return err
			}
			e, err := entry(f, name)
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
	}
	index := Index(entries)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, index); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	files := map[string][]byte{"Packages": []byte(index), "Packages.gz": packed.Bytes()}
	release := Release(minor, files, time.Now())
	signed, err := key.ClearSign(release)
	if err != nil {
		return err
	}
	detached, err := key.DetachSign(release)
	if err != nil {
		return err
	}
	public, err := key.Public()
	if err != nil {
		return err
	}
	files["Release"], files["InRelease"], files["Release.gpg"], files["Release.key"] = []byte(release), signed, detached, public
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func entry(path, name string) (Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	control, err := deb.ReadControl(f)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Entry{}, err
	}
	h := sha256.New()
	size, err := io.Copy(h, f)
	return Entry{Control: control, Filename: name, Size: size, SHA256: fmt.Sprintf("%x", h.Sum(nil))}, err
}

// Index renders a repository's Packages file, sorted by file name.
func Index(entries []Entry) string {
	entries = append([]Entry(nil), entries...)
	sort.Slice(entries, func(i, j int) bool { return entries[i].Filename < entries[j].Filename })
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s\nFilename: %s\nSize: %d\nSHA256: %s\n", strings.TrimSpace(e.Control), e.Filename, e.Size, e.SHA256)
	}
	return b.String()
}

// Release renders the file that vouches for the index files.
func Release(minor string, files map[string][]byte, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: obs://build.opensuse.org/isv:kubernetes:core:stable:%s/deb\n", minor)
	fmt.Fprintf(&b, "Label: isv:kubernetes:core:stable:%s\n", minor)
	fmt.Fprintf(&b, "Architectures: amd64\nDate: %s\nDescription: Kubernetes %s (pawl-lab)\nSHA256:\n", now.UTC().Format(time.RFC1123), minor)
	var names []string
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(&b, " %x %d %s\n", sha256.Sum256(files[n]), len(files[n]), n)
	}
	return b.String()
}
