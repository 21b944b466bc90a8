package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer is some files of an image, in their order.
type layer []entry

// entry is one file or folder. All are root's; nothing in the image may be written by who it runs as.
type entry struct {
	name   string
	mode   int64  // as tar has it
	source string // a file of this machine; "" : text
	text   string
}

func folder(name string, mode int64) entry {
	return entry{name: strings.Trim(name, "/") + "/", mode: mode}
}

func content(name, text string) entry { return entry{name: name, mode: 0o644, text: text} }

func executable(source, name string) entry { return entry{name: name, mode: 0o755, source: source} }

// pack makes the layer, with the folders that its files need.
func (l layer) pack(date time.Time) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := map[string]bool{"./": true}
	var add func(entry) error
	add = func(e entry) error {
		above := path.Dir(strings.TrimSuffix(e.name, "/")) + "/"
		if !made[above] {
			if err := add(folder(above, 0o755)); err != nil {
				return err
			}
		}
		made[e.name] = true
		return e.write(w, date)
	}
	for _, e := range l {
		if err := add(e); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

func (e entry) write(w *tar.Writer, date time.Time) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, ModTime: date}
	text := []byte(e.text)
	switch {
	case strings.HasSuffix(e.name, "/"):
		header.Typeflag = tar.TypeDir
		return w.WriteHeader(header)
	case e.source != "":
		var err error
		if text, err = os.ReadFile(e.source); err != nil {
			return err
		}
	}
	header.Size = int64(len(text))
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(text)
	return err
}
