package bed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// etcd is the cluster's etcd as the nodes' own programs see it: one member on each control plane node, all of them the
// one real etcd.
type etcd struct{ *Bed }

// Health implements kubelet.Etcd.
func (e etcd) Health() (string, error) {
	type member struct {
		Endpoint string `json:"endpoint"`
		Health   bool   `json:"health"`
		Took     string `json:"took"`
		Error    string `json:"error,omitempty"`
	}
	var members []member
	for _, n := range e.nodes {
		if n.endpoint == nil {
			continue
		}
		m := member{Endpoint: "https://" + n.name + ":2379", Health: n.kubelet.EtcdUp(), Took: "1ms"}
		if !m.Health {
			m.Error = "context deadline exceeded"
		}
		members = append(members, m)
	}
	text, err := json.Marshal(members)
	return string(text), err
}

// MemberStatus implements kubelet.Etcd: every member has the status of the one real etcd.
func (e etcd) MemberStatus(ctx context.Context) (string, error) {
	text, err := e.plane.Etcdctl(ctx, "endpoint", "status", "--write-out=json")
	if err != nil {
		return text, err
	}
	var real []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &real); err != nil || len(real) == 0 {
		return "", fmt.Errorf("etcdctl said %q", text)
	}
	var members []map[string]json.RawMessage
	var away error
	for _, n := range e.nodes {
		switch endpoint := "https://" + n.name + ":2379"; {
		case n.endpoint == nil:
		case n.kubelet.EtcdUp():
			members = append(members, map[string]json.RawMessage{"Endpoint": json.RawMessage(strconv.Quote(endpoint)), "Status": real[0]["Status"]})
		default:
			away = errors.Join(away, fmt.Errorf("Failed to get the status of endpoint %s (context deadline exceeded)", endpoint)) //nolint:staticcheck // etcdctl's words
		}
	}
	out, err := json.Marshal(members)
	return string(out), errors.Join(err, away)
}

// Save implements kubelet.Etcd.
func (e etcd) Save(ctx context.Context, file string) (string, error) {
	return e.plane.Etcdctl(ctx, "snapshot", "save", file)
}

// Status implements kubelet.Etcd.
func (e etcd) Status(ctx context.Context, file string) (string, error) {
	return e.plane.Etcdutl(ctx, "snapshot", "status", file, "--write-out=json")
}
