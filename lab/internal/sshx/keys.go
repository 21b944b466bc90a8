// Package sshx makes SSH keys and runs commands on the nodes. Rule: every host
// key is known before the first connection; nothing is trusted on first use.
package sshx

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Key is an SSH key pair in OpenSSH's file formats.
type Key struct {
	Private []byte // PEM, no passphrase
	Public  string // one line, as in authorized_keys
	Signer  ssh.Signer
}

// NewKey makes an Ed25519 key pair.
func NewKey(comment string) (Key, error) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make ssh key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return Key{}, fmt.Errorf("make ssh key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		return Key{}, fmt.Errorf("make ssh key: %w", err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return Key{Private: pem.EncodeToMemory(block), Public: line + " " + comment, Signer: signer}, nil
}

// KnownHost is the line of known_hosts for a host under all its names.
func KnownHost(key ssh.PublicKey, names ...string) string {
	return knownhosts.Line(names, key)
}
