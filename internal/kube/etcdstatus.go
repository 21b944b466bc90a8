package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// etcdStatus asks every member for its alarms and its size through the etcdctl of one of them. An external etcd has no
// pods here and is not asked; members that do not answer are a matter of the control plane's health.
func (c *Cluster) etcdStatus(ctx context.Context, controlPlane []corev1.Pod) ([]upgrade.Finding, error) {
	var last error
	for _, p := range controlPlane {
		if p.Labels["component"] != etcdComponent || !podReady(&p) {
			continue
		}
		ctx, cancel := bounded(ctx)
		out, err := c.etcdctl(ctx, p.Spec.NodeName, "endpoint", "status", "--cluster", "--write-out=json")
		cancel()
		members, parsed := parseEtcdStatus(out)
		if parsed == nil {
			return checkEtcdStatus(members), nil
		}
		if last = c.classify("ask etcd through", p.Name, err); last == nil {
			last = fault.Wrap(fault.Unreachable, "ask etcd through", p.Name, parsed, "")
		}
	}
	return nil, last
}

// etcdMemberStatus is what `etcdctl endpoint status --write-out=json` says of one member.
type etcdMemberStatus struct {
	Endpoint string `json:"Endpoint"`
	Status   struct {
		DBSize      int64    `json:"dbSize"`      // in bytes
		DBSizeQuota int64    `json:"dbSizeQuota"` // since v3.6
		Errors      []string `json:"errors"`      // alarms of all members, and "etcdserver: no leader"
		IsLearner   bool     `json:"isLearner"`
	} `json:"Status"`
}

func parseEtcdStatus(out string) ([]etcdMemberStatus, error) {
	var members []etcdMemberStatus
	if err := json.Unmarshal([]byte(strings.TrimSpace(out)), &members); err != nil {
		return nil, fmt.Errorf("etcdctl said %q", out)
	}
	if len(members) == 0 {
		return nil, errors.New("etcdctl named no member")
	}
	return members, nil
}

// fullest is how full of its quota etcd may be, in per cent. An upgrade itself writes little, but at 100 nothing can be
// written any more.
const fullest = 80

func checkEtcdStatus(members []etcdMemberStatus) []upgrade.Finding {
	const maintenance = "https://etcd.io/docs/latest/op-guide/maintenance/#space-quota"
	var found []upgrade.Finding
	for _, m := range members {
		for _, alarm := range m.Status.Errors {
			f := upgrade.Finding{ID: upgrade.EtcdAlarm, Severity: upgrade.SeverityError, Target: m.Endpoint, Message: "etcd says: " + strings.TrimSpace(alarm),
				Remedy: "repair etcd first", Source: maintenance}
			if strings.Contains(alarm, "NOSPACE") {
				f.Remedy = "compact and defragment etcd or raise its quota, then disarm the alarm: until then it refuses to write"
			}
			found = append(found, f)
		}
		if m.Status.IsLearner {
			found = append(found, upgrade.Finding{ID: upgrade.EtcdMembers, Severity: upgrade.SeverityWarning, Target: m.Endpoint,
				Message: "the etcd member is a learner, which does not count", Remedy: "promote or remove it first",
				Source: "https://etcd.io/docs/latest/learning/design-learner/"})
		}
		if q := m.Status.DBSizeQuota; q > 0 && m.Status.DBSize/(q/100+1) >= fullest {
			found = append(found, upgrade.Finding{ID: upgrade.EtcdSpace, Severity: upgrade.SeverityWarning, Target: m.Endpoint,
				Message: fmt.Sprintf("etcd has %d MiB of its quota of %d MiB", m.Status.DBSize>>20, q>>20), Remedy: "compact and defragment it, or raise the quota", Source: maintenance})
		}
	}
	return found
}
