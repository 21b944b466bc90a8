package binaries

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// etcdClient is how etcdctl reaches the host's member.
type etcdClient struct {
	program  string
	endpoint string
	// tls are files that may do, in the order in which they are tried: a server's certificate need not be one of a client.
	tls []tlsFiles
}

type tlsFiles struct{ ca, cert, key string }

func (t tlsFiles) flags() []string {
	var all []string
	for _, f := range [][2]string{{"--cacert=", t.ca}, {"--cert=", t.cert}, {"--key=", t.key}} {
		if f[1] != "" {
			all = append(all, f[0]+f[1])
		}
	}
	return all
}

// etcdSettings are those of etcd's settings that say where and how it is reached.
type etcdSettings struct {
	Advertise string `json:"advertise-client-urls"`
	Listen    string `json:"listen-client-urls"`
	DataDir   string `json:"data-dir"`
	Client    struct {
		CA   string `json:"trusted-ca-file"`
		Cert string `json:"cert-file"`
		Key  string `json:"key-file"`
	} `json:"client-transport-security"`
	Peer struct {
		CA   string `json:"trusted-ca-file"`
		Cert string `json:"cert-file"`
		Key  string `json:"key-file"`
	} `json:"peer-transport-security"`
}

// settings reads etcd's: from its configuration file, which goes before all else, or from flags and its environment.
// Source: https://etcd.io/docs/latest/op-guide/configuration/
func (h *Host) settings(ctx context.Context, c component) (etcdSettings, error) {
	var s etcdSettings
	if file := c.set("config-file", c.env["ETCD_CONFIG_FILE"]); file != "" {
		text, err := h.on.Read(ctx, file)
		if err != nil {
			return s, err
		}
		if err := yaml.Unmarshal([]byte(text), &s); err != nil {
			return s, h.unhealthy(c, file+" does not read as YAML")
		}
		return s, nil
	}
	of := func(name string) string {
		return c.set(name, c.env["ETCD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))])
	}
	s.Advertise, s.Listen, s.DataDir = of("advertise-client-urls"), of("listen-client-urls"), of("data-dir")
	s.Client.CA, s.Client.Cert, s.Client.Key = of("trusted-ca-file"), of("cert-file"), of("key-file")
	s.Peer.CA, s.Peer.Cert, s.Peer.Key = of("peer-trusted-ca-file"), of("peer-cert-file"), of("peer-key-file")
	return s, nil
}

// client finds out how the host's member is reached.
func (h *Host) client(ctx context.Context, c component) (etcdClient, error) {
	s, err := h.settings(ctx, c)
	if err != nil {
		return etcdClient{}, err
	}
	e := etcdClient{endpoint: clientURL(s), tls: []tlsFiles{{s.Client.CA, s.Client.Cert, s.Client.Key}}}
	if s.Peer.Cert != "" {
		e.tls = append(e.tls, tlsFiles{cmp.Or(s.Client.CA, s.Peer.CA), s.Peer.Cert, s.Peer.Key})
	}
	if server, err := h.find(ctx, "look for", upgrade.APIServer); err == nil { // its API server is a client of it
		e.tls = append(e.tls, tlsFiles{server.set("etcd-cafile", ""), server.set("etcd-certfile", ""), server.set("etcd-keyfile", "")})
	} else if !fault.Is(err, fault.NotFound) {
		return e, err
	}
	if !strings.HasPrefix(e.endpoint, "https:") {
		e.tls = []tlsFiles{{}}
	}
	e.program, err = h.tool(ctx, c, upgrade.Etcdctl)
	return e, err
}

// tool is where one of etcd's tools is: beside etcd, or in one of the usual folders.
func (h *Host) tool(ctx context.Context, c component, name string) (string, error) {
	k, _ := kindOf(name)
	t := component{kind: k, Binary: upgrade.Binary{Component: name}}
	if err := h.findTool(ctx, &t, []component{c}); err != nil {
		return "", err
	}
	if t.Path == "" {
		return "", fault.New(fault.PreflightFailed, "look for "+name+" on", h.node, "it is not there", "install it beside "+c.Path+": every release of etcd has it")
	}
	return t.Path, nil
}

// clientURL is where the member is reached from its own host: at what it advertises, as the other members are, too.
func clientURL(s etcdSettings) string {
	first, _, _ := strings.Cut(cmp.Or(s.Advertise, s.Listen, "http://127.0.0.1:2379"), ",")
	u, err := url.Parse(strings.TrimSpace(first))
	if err != nil {
		return first
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", cmp.Or(u.Port(), "2379"))
	}
	return u.String()
}

// etcdctl runs etcdctl on the host's member with the first certificates that do.
func (h *Host) etcdctl(ctx context.Context, c component, args ...string) (string, error) {
	e, err := h.client(ctx, c)
	if err != nil {
		return "", err
	}
	var r remote.Result
	for _, files := range e.tls {
		if r, err = h.on.Root(ctx, slices.Concat([]string{"env", "ETCDCTL_API=3", e.program, "--endpoints=" + e.endpoint, "--dial-timeout=3s", "--command-timeout=8s"},
			files.flags(), args)...); err != nil {
			return "", err
		}
		if r.ExitCode == 0 {
			return r.Stdout, nil
		}
	}
	return r.Stdout, h.unhealthy(c, fmt.Sprintf("etcdctl %s at %s: %s", strings.Join(args[:min(2, len(args))], " "), e.endpoint, remote.Tail(r.Stderr)))
}

// etcdHealthy returns nil when every member of etcd is healthy and has the same leader, and the host's own is at version
// v; a zero version does not matter.
func (h *Host) etcdHealthy(ctx context.Context, c component, v upgrade.Version) error {
	if _, err := h.etcdctl(ctx, c, "endpoint", "health", "--cluster"); err != nil {
		return err
	}
	members, err := h.members(ctx, c)
	if err != nil {
		return err
	}
	leaders := 0
	for _, m := range members {
		if m.Version.IsZero() {
			return h.unhealthy(c, m.Endpoint+" does not say its version")
		}
		if m.Leader {
			leaders++
		}
	}
	if leaders != 1 {
		return h.unhealthy(c, fmt.Sprintf("etcd has %d leaders, wanted 1", leaders))
	}
	if v.IsZero() {
		return nil
	}
	s, err := h.settings(ctx, c)
	if err != nil {
		return err
	}
	own := clientURL(s)
	for _, m := range members {
		if m.Endpoint == own && m.Version != v {
			return h.unhealthy(c, fmt.Sprintf("the member at %s is %s, wanted %s", own, m.Version, v))
		}
	}
	return nil
}

// EtcdMembers asks all members for their versions through the host's own.
func (h *Host) EtcdMembers(ctx context.Context) ([]upgrade.EtcdMember, error) {
	c, err := h.one(ctx, "ask etcd through", upgrade.Etcd)
	if err != nil {
		return nil, err
	}
	return h.members(ctx, c)
}

func (h *Host) members(ctx context.Context, c component) ([]upgrade.EtcdMember, error) {
	list, err := h.etcdctl(ctx, c, "member", "list", "--write-out=json")
	if err != nil {
		return nil, err
	}
	// Some of the members may not answer: then this fails, and still tells of the others.
	status, asked := h.etcdctl(ctx, c, "endpoint", "status", "--cluster", "--write-out=json")
	members, err := parseMembers(list, status)
	if err != nil {
		return nil, h.unhealthy(c, "etcdctl's answer does not read as it must")
	}
	if asked != nil && !fault.Is(asked, fault.VerificationFailed) {
		return nil, asked
	}
	return members, nil
}

// parseMembers puts together what etcdctl says of the members and of their endpoints.
func parseMembers(list, status string) ([]upgrade.EtcdMember, error) {
	var l struct {
		Members []struct {
			ID      uint64   `json:"ID"`
			Name    string   `json:"name"`
			URLs    []string `json:"clientURLs"`
			Learner bool     `json:"isLearner"`
		} `json:"members"`
	}
	if err := json.Unmarshal([]byte(list), &l); err != nil {
		return nil, err
	}
	var s []struct {
		Endpoint string `json:"Endpoint"`
		Status   struct {
			Header struct {
				Member uint64 `json:"member_id"`
			} `json:"header"`
			Version string `json:"version"`
			Leader  uint64 `json:"leader"`
		} `json:"Status"`
	}
	if strings.TrimSpace(status) != "" {
		if err := json.Unmarshal([]byte(status), &s); err != nil {
			return nil, err
		}
	}
	var members []upgrade.EtcdMember
	for _, m := range l.Members {
		member := upgrade.EtcdMember{Name: m.Name, Learner: m.Learner}
		if len(m.URLs) > 0 {
			member.Endpoint = m.URLs[0]
		}
		for _, e := range s {
			if e.Status.Header.Member == m.ID {
				member.Endpoint, member.Leader = e.Endpoint, e.Status.Leader == m.ID
				member.Version, _ = upgrade.ParseVersion(e.Status.Version)
			}
		}
		members = append(members, member)
	}
	return members, nil
}
