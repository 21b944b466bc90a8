// Package mirror lays out released programs the way their projects publish
// them: Kubernetes' like dl.k8s.io, etcd's like its releases at GitHub. Rule: the
// sum of every file is beside it.
package mirror

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Kubernetes and Etcd are the folders of their releases below the server's
// root; each has a folder for each version.
const (
	Kubernetes = "release"
	Etcd       = "etcd"
)

const platform = "linux-amd64"

// WriteKubernetes fills the folder of a version, bin/linux/amd64/ with each
// program and its sum, with all the programs of a folder.
func WriteKubernetes(dir, from string) error {
	programs, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "bin", "linux", "amd64")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		target := filepath.Join(bin, p.Name())
		if err := os.Link(filepath.Join(from, p.Name()), target); err != nil {
			return err
		}
		digest, err := sum(target)
		if err != nil {
			return err
		}
		// The digest alone, without a name and without an end of line.
		if err := os.WriteFile(target+".sha256", []byte(digest), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// WriteEtcd fills the folder of a version with the archive of all the programs
// of a folder, etcd-VERSION-linux-amd64.tar.gz, and SHA256SUMS.
func WriteEtcd(dir, version, from string) error {
	name := fmt.Sprintf("etcd-%s-%s", version, platform)
	archive := filepath.Join(dir, name+".tar.gz")
	if err := writeArchive(archive, name, from); err != nil {
		return err
	}
	digest, err := sum(archive)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(digest+"  "+filepath.Base(archive)+"\n"), 0o644)
}

// writeArchive packs the files of a folder below the folder prefix.
func writeArchive(path, prefix, from string) error {
	programs, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, p := range programs {
		if err := addFile(t, prefix+"/"+p.Name(), filepath.Join(from, p.Name())); err != nil {
			return fmt.Errorf("pack %s: %w", p.Name(), err)
		}
	}
	for _, c := range []io.Closer{t, z, f} {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

func addFile(t *tar.Writer, name, source string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	err = t.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size(), ModTime: info.ModTime()})
	if err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
