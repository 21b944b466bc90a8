package config

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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

// UnmarshalJSONFrom reads one or a list.
func (j *Jumps) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '[' {
		return json.UnmarshalDecode(d, (*[]Jump)(j))
	}
	*j = make(Jumps, 1)
	return json.UnmarshalDecode(d, &(*j)[0])
}

// jumpFields is a jump host that is written with fields.
type jumpFields Jump

// UnmarshalJSONFrom reads [user@]host[:port], or fields.
func (j *Jump) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '"' {
		return json.UnmarshalDecode(d, (*jumpFields)(j))
	}
	if err := json.UnmarshalDecode(d, &j.Address); err != nil {
		return err
	}
	if user, address, ok := strings.Cut(j.Address, "@"); ok {
		j.User, j.Address = user, address
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
	if err := checkPort("ssh.port", c.SSH.Port); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.SSH.Hosts)) {
		if err := checkPort("ssh.hosts."+name+".port", c.SSH.Hosts[name].Port); err != nil {
			return err
		}
	}
	for i, j := range c.SSH.Jump {
		host, port := j.Address, ""
		if h, p, err := net.SplitHostPort(j.Address); err == nil {
			host, port = h, p
		}
		number, err := strconv.Atoi(port)
		if host == "" || strings.ContainsAny(host, "@/ ,") || strings.ContainsAny(j.User, "@/ ,") || port != "" && (err != nil || number < 1 || number > maxPort) {
			return fmt.Errorf("ssh.jump[%d]: is %q, wanted [user@]host[:port], several as a list", i, j.Address)
		}
	}
	return nil
}

const maxPort = 65535

// checkPort says what is wrong with a port; 0 is none.
func checkPort(field string, port int) error {
	if port < 0 || port > maxPort {
		return fmt.Errorf("%s: is %d, wanted a number from 1 to %d", field, port, maxPort)
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
