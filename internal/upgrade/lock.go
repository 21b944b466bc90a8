package upgrade

import (
	"fmt"
	"time"
)

// LockDuration is for how long a cluster's lock is held unless it is renewed: long enough for an API server that restarts
// and a worker that is replaced, short enough to wait for when an owner is gone for good.
const LockDuration = 3 * time.Minute

// Lock is a cluster's lock, which tools that change the cluster can see: the Lease pawl in kube-system. The zero value is
// one that nobody holds.
type Lock struct {
	// Holder is who holds it. pawl writes namespace/workflow/run, as its Temporal knows them.
	Holder string    `json:"holder"`
	Since  time.Time `json:"since,omitzero"`
	// Renewed is when its holder was last seen alive, by the holder's own clock.
	Renewed time.Time `json:"renewed,omitzero"`
	// Expires is when it ends unless it is renewed; zero: never.
	Expires time.Time `json:"expires,omitzero"`
}

// Held reports whether anybody holds it.
func (l Lock) Held() bool { return l.Holder != "" }

// String says who holds it, and for how long.
func (l Lock) String() string {
	if !l.Held() {
		return "nobody holds it"
	}
	s := "held by " + l.Holder
	if !l.Since.IsZero() {
		s += " since " + l.Since.UTC().Format(time.RFC3339)
	}
	if l.Expires.IsZero() {
		return s + ", with no end"
	}
	return s + fmt.Sprintf(", until %s unless it is renewed", l.Expires.UTC().Format(time.RFC3339))
}

// checkLock says that somebody else is at work on the cluster. It is no error: it may be over when the upgrade starts,
// and the upgrade itself takes the lock or holds.
func checkLock(c Cluster) []Finding {
	if !c.Lock.Held() {
		return nil
	}
	return []Finding{{ID: Locked, Severity: SeverityWarning, Target: c.Name, Message: "the cluster's lock is " + c.Lock.String(),
		Remedy: "wait until its holder is done: an upgrade holds before it touches anything", Source: "https://kubernetes.io/docs/concepts/architecture/leases/"}}
}
