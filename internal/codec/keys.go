package codec

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
)

// Environment names the file of keys, for the worker and for the command line.
const Environment = "PAWL_ENCRYPTION_KEYS"

const keySize = 32 // AES-256

// Key is a key with its name. Its secret is never shown: neither %v nor JSON can reach it.
type Key struct {
	ID      string
	secret  []byte
	wrapped []byte // by a KMS, in place of the secret
}

// String implements fmt.Stringer.
func (k Key) String() string { return "key " + k.ID }

// GoString implements fmt.GoStringer.
func (k Key) GoString() string { return k.String() }

// Unwrapper decrypts keys that a key management service has wrapped.
type Unwrapper interface {
	Unwrap(ctx context.Context, wrapped []byte) ([]byte, error)
}

// Load reads the file of keys and has wrapped ones decrypted. kms is only asked where a key is wrapped.
func Load(ctx context.Context, file string, kms Unwrapper) (*Codec, error) {
	const op = "read encryption keys"
	info, err := os.Stat(file)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, op, file, cause(err), "make one with \"pawl codec new-key\"")
	}
	// Where Kubernetes mounts a Secret for a user that is not root, the group may read it.
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, fault.New(fault.InvalidInput, op, file, fmt.Sprintf("its mode is %04o, so others can read or change it", mode), "chmod 600 "+file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, op, file, cause(err), "")
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, op, file, err, "\"pawl codec new-key\" prints a good line")
	}
	for i := range keys {
		if k := &keys[i]; k.wrapped != nil {
			if k.secret, err = kms.Unwrap(ctx, k.wrapped); err != nil {
				return nil, fault.Wrap(fault.Unauthorized, "unwrap encryption key", k.ID, err, "")
			}
			if len(k.secret) != keySize {
				return nil, fault.New(fault.InvalidInput, "unwrap encryption key", k.ID, fmt.Sprintf("it has %d bytes, wanted %d", len(k.secret), keySize), "")
			}
		}
	}
	return New(keys)
}

// The forms of a key in the file.
const (
	formPlain = "base64:"
	formKMS   = "aws-kms:"
)

var keyID = regexp.MustCompile(`^[A-Za-z0-9][-._A-Za-z0-9]{0,63}$`)

// parseKeys reads one key from each line: an id, and "base64:KEY" or "aws-kms:CIPHERTEXT". Empty lines and those that begin
// with # are nothing. An error names the line and never quotes it, since a key may stand there.
func parseKeys(text []byte) ([]Key, error) {
	var keys []Key
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 || !keyID.MatchString(fields[0]) {
			return nil, fmt.Errorf("line %d: wanted ID base64:KEY or ID aws-kms:CIPHERTEXT", n)
		}
		k, err := parseKey(fields[0], fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if seen[k.ID] {
			return nil, fmt.Errorf("line %d: the id %s is there twice", n, k.ID)
		}
		seen[k.ID] = true
		keys = append(keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}

func parseKey(id, value string) (Key, error) {
	k := Key{ID: id}
	plain, isPlain := strings.CutPrefix(value, formPlain)
	wrapped, isWrapped := strings.CutPrefix(value, formKMS)
	var err error
	switch {
	case isPlain:
		k.secret, err = base64.StdEncoding.DecodeString(plain)
		if err == nil && len(k.secret) != keySize {
			return k, fmt.Errorf("key %s has %d bytes, wanted %d", id, len(k.secret), keySize)
		}
	case isWrapped:
		k.wrapped, err = base64.StdEncoding.DecodeString(wrapped)
		if err == nil && len(k.wrapped) == 0 {
			return k, fmt.Errorf("key %s is empty", id)
		}
	default:
		return k, fmt.Errorf("key %s begins with neither %s nor %s", id, formPlain, formKMS)
	}
	if err != nil {
		return k, fmt.Errorf("key %s is not in base64", id) // the error's own text tells where, which helps nobody
	}
	return k, nil
}

// NewKey makes a key and returns its line.
func NewKey(id string) (string, error) {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // which never fails
	return line(id, formPlain, secret)
}

// NewKeyID is an id that nobody has used, with the day in it.
func NewKeyID(now time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:])
	return now.UTC().Format("2006-01-02") + "-" + hex.EncodeToString(b[:])
}

func line(id, form string, value []byte) (string, error) {
	if !keyID.MatchString(id) {
		return "", fault.New(fault.InvalidInput, "make encryption key", id, fmt.Sprintf("%q is no id, wanted letters, digits, dots, dashes and underscores", id), "")
	}
	return id + " " + form + base64.StdEncoding.EncodeToString(value), nil
}

// cause strips the path from an error of package os, for messages that name it already.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
