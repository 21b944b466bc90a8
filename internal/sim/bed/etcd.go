package bed

import (
	"context"
	"encoding/json"
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

// Save implements kubelet.Etcd.
func (e etcd) Save(ctx context.Context, file string) (string, error) {
	return e.plane.Etcdctl(ctx, "snapshot", "save", file)
}

// Status implements kubelet.Etcd.
func (e etcd) Status(ctx context.Context, file string) (string, error) {
	return e.plane.Etcdutl(ctx, "snapshot", "status", file, "--write-out=json")
}
