package aws

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Tags. Those of a group are removed by End; of the instances' own, run, slot and replaces stay on the new ones: they say
// where a machine came from.
const (
	tagRun       = "pawl.dev/run"       // group (its new instances get it at launch) and new instance: the run
	tagSlot      = "pawl.dev/slot"      // new instance: the key of the slot that it was made for
	tagReplaces  = "pawl.dev/replaces"  // new instance: the old one's id
	tagOld       = "pawl.dev/old"       // instance that was there before the run: the run
	tagUnprotect = "pawl.dev/unprotect" // instance that was not protected from scale-in before
	tagPinned    = "pawl.dev/pinned"    // old plain instance: template version and image of what replaces it
	tagPool      = "pawl.dev/pool"      // group: cluster and pool of the run
	tagBefore    = "pawl.dev/before"    // group: how it was
	tagTemplate  = "pawl.dev/template"  // group: the version that new machines have, and whether pawl made it
	tagReplaced  = "pawl.dev/replaced"  // group: an old machine has been ended
	tagWant      = "pawl.dev/want."     // group, with a slot's key: a machine for it is being made
	tagPrefix    = "pawl.dev/"

	tagAWSGroup = "aws:autoscaling:groupName" // instance: set by AWS
)

var tagValue = regexp.MustCompile(`^[A-Za-z0-9 +\-=._:/@]{1,256}$`)

// value is text as the value of a tag; what cannot be one is hashed.
func value(text string) string {
	if tagValue.MatchString(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + hex.EncodeToString(sum[:])
}

// poolValue names the pool that a group belongs to while it is being replaced.
func poolValue(r upgrade.Replacement) string { return value(r.Cluster + "/" + r.Pool) }

// token is the client token of a step other than making the machine of a slot.
func token(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "pawl-" + hex.EncodeToString(sum[:16])
}

var instanceID = regexp.MustCompile(`^i-[0-9a-f]+$`)

// identity is the instance's id in what a machine is known by: "aws:///ZONE/i-...", or the id alone. "" where the machine
// has none.
func identity(m upgrade.Machine) (string, error) {
	if m.ID == "" {
		return "", nil
	}
	id := m.ID[strings.LastIndexByte(m.ID, '/')+1:]
	if !instanceID.MatchString(id) || strings.Contains(m.ID, "://") && !strings.HasPrefix(m.ID, "aws://") {
		return "", fault.New(fault.PreflightFailed, "find the instance of", called(m), "its provider ID "+m.ID+" names no EC2 instance, wanted aws:///ZONE/i-...",
			"set the kubelet's provider-id, or use another provider for this pool")
	}
	return id, nil
}

// called is the machine's name for people.
func called(m upgrade.Machine) string {
	for _, name := range []string{m.Node, m.ID, m.Address} {
		if name != "" {
			return name
		}
	}
	return "a machine without name"
}
