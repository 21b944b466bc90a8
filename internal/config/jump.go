package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Jump is a host that connections go through. What it does not say is as for the cluster's own machines, but the port,
// which is 22.
type Jump struct {
	Address         string `json:"address"` // host or host:port
	User            string `json:"user"`
	KeyFile         string `json:"keyFile"`
	CertificateFile string `json:"certificateFile"`
	KnownHostsFile  string `json:"knownHostsFile"`
}

// Jumps are jump hosts in the order in which they are passed.
type Jumps []Jump

// UnmarshalJSON reads one or a list, each as [user@]host[:port] or with fields.
func (j *Jumps) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); !bytes.HasPrefix(b, []byte("[")) {
		b = fmt.Appendf(nil, "[%s]", b)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*j = nil
	for _, one := range all {
		var jump Jump
		var short string
		if json.Unmarshal(one, &short) == nil {
			if user, address, ok := strings.Cut(short, "@"); ok {
				jump.User, jump.Address = user, address
			} else {
				jump.Address = short
			}
		} else {
			d := json.NewDecoder(bytes.NewReader(one))
			d.DisallowUnknownFields()
			if err := d.Decode(&jump); err != nil {
				return fmt.Errorf("ssh.jump: %w; wanted [user@]host[:port], or address, user, keyFile, certificateFile, knownHostsFile", err)
			}
		}
		*j = append(*j, jump)
	}
	return nil
}

// completeSSH fills in how the machines are reached. A key of its own does not take over the cluster's certificate.
func (c *Cluster) completeSSH(dir string) {
	s := &c.SSH
	orString(&s.User, "root")
	absolute(dir, &s.KeyFile, &s.CertificateFile, &s.KnownHostsFile)
	for i := range s.Jump {
		j := &s.Jump[i]
		absolute(dir, &j.KeyFile, &j.CertificateFile, &j.KnownHostsFile)
		orString(&j.User, s.User)
		orString(&j.KnownHostsFile, s.KnownHostsFile)
		if j.KeyFile == "" {
			j.KeyFile = s.KeyFile
			orString(&j.CertificateFile, s.CertificateFile)
		}
	}
}

// checkSSH says what is wrong with what is said of SSH.
func (c *Cluster) checkSSH() error {
	for i, j := range c.SSH.Jump {
		host, port := j.Address, ""
		if h, p, err := net.SplitHostPort(j.Address); err == nil {
			host, port = h, p
		}
		number, err := strconv.Atoi(port)
		if host == "" || strings.ContainsAny(host, "@/ ,") || strings.ContainsAny(j.User, "@/ ,") || port != "" && (err != nil || number < 1 || number > 65535) {
			return fmt.Errorf("ssh.jump[%d]: is %q, wanted [user@]host[:port], several as a list", i, j.Address)
		}
	}
	return nil
}

// absolute makes paths absolute that are relative to a folder.
func absolute(dir string, paths ...*string) {
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}
