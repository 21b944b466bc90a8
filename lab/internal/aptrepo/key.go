package aptrepo

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/pawl-dev/pawl/lab/internal/home"
)

// Key signs the repositories.
type Key struct {
	entity *openpgp.Entity
}

// signing is what the apt of every supported Debian accepts.
var signing = &packet.Config{
	RSABits:     3072,
	Algorithm:   packet.PubKeyAlgoRSA,
	DefaultHash: crypto.SHA512,
	// A moment ago: the key must not look younger than what it signs.
	Time: func() time.Time { return time.Now().Add(-time.Minute) },
}

// LoadKey reads the lab's signing key, making it the first time.
func LoadKey(path string) (*Key, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("repository key: %w", err)
	}
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(b))
	if err != nil || len(ring) != 1 {
		return nil, fmt.Errorf("repository key %s: not one armoured key (%v); remove the file to get a new one", path, err)
	}
	return &Key{entity: ring[0]}, nil
}

func newKey(path string) (*Key, error) {
	e, err := openpgp.NewEntity("pawl-lab repositories", "", "pawl-lab@localhost", signing)
	if err != nil {
		return nil, fmt.Errorf("make repository key: %w", err)
	}
	b, err := armoured(openpgp.PrivateKeyType, func(w io.Writer) error { return e.SerializePrivate(w, signing) })
	if err != nil {
		return nil, fmt.Errorf("make repository key: %w", err)
	}
	if err := home.WriteFile(path, b, 0o600); err != nil {
		return nil, fmt.Errorf("make repository key: %w", err)
	}
	return &Key{entity: e}, nil
}

// Public is the armoured public key, which the repository shows as Release.key.
func (k *Key) Public() ([]byte, error) {
	return armoured(openpgp.PublicKeyType, k.entity.Serialize)
}

// ClearSign returns the text with the signature around it (InRelease).
func (k *Key) ClearSign(text string) ([]byte, error) {
	var buf bytes.Buffer
	w, err := clearsign.Encode(&buf, k.entity.PrivateKey, signing)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return append(buf.Bytes(), '\n'), nil
}

// DetachSign returns the signature alone (Release.gpg).
func (k *Key) DetachSign(text string) ([]byte, error) {
	var buf bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&buf, k.entity, strings.NewReader(text), signing); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return append(buf.Bytes(), '\n'), nil
}

func armoured(kind string, write func(io.Writer) error) ([]byte, error) {
	var buf bytes.Buffer
	w, err := armor.Encode(&buf, kind, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(write(w), w.Close()); err != nil {
		return nil, err
	}
	return append(buf.Bytes(), '\n'), nil
}
