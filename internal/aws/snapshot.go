package aws

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
)

// snapshot is what End needs to put a group back. Min is not in it: pawl never changes it. Which instances were protected
// stands in their tags.
type snapshot struct {
	Desired int32    `json:"desired"`
	Max     int32    `json:"max"`
	Raised  int32    `json:"raised"`           // what pawl made of Max
	Protect bool     `json:"protect"`          // were new instances protected from scale-in?
	Resume  []string `json:"resume,omitempty"` // the processes that pawl suspended
	// Template is the version as the group had it, a number, $Latest or $Default; Source is its number.
	Template string `json:"template"`
	Source   string `json:"source"`
	// Named: the definition names an image or a version, which new machines are to have. Else Pinned is Source.
	Named  bool   `json:"named,omitempty"`
	Pinned string `json:"pinned,omitempty"` // the version during the run
	Made   bool   `json:"made,omitempty"`   // pawl made that version
}

// encode is the snapshot as a tag's value, of at most 256 characters of those that tags may have.
func (s snapshot) encode() string {
	return fmt.Sprintf("desired=%d max=%d raised=%d protect=%t named=%t template=%s source=%s resume=%s",
		s.Desired, s.Max, s.Raised, s.Protect, s.Named, strings.TrimPrefix(s.Template, "$"), s.Source, strings.Join(s.Resume, ":"))
}

// decode reads it.
func decode(text string) (s snapshot, err error) {
	number := func(v string) int32 {
		n, bad := strconv.ParseInt(v, 10, 32)
		if bad != nil {
			err = bad
		}
		return int32(n)
	}
	seen := 0
	for field := range strings.FieldsSeq(text) {
		key, v, _ := strings.Cut(field, "=")
		seen++
		switch key {
		case "desired":
			s.Desired = number(v)
		case "max":
			s.Max = number(v)
		case "raised":
			s.Raised = number(v)
		case "protect":
			s.Protect = v == "true"
		case "named":
			s.Named = v == "true"
		case "template":
			if s.Template = v; "$"+v == latest || "$"+v == preset {
				s.Template = "$" + v
			}
		case "source":
			s.Source = v
		case "resume":
			if v != "" {
				s.Resume = strings.Split(v, ":")
			}
		default:
			seen--
		}
	}
	if err != nil || seen != 8 {
		return s, fault.New(fault.PreflightFailed, "read the tag", tagBefore, "it is not as pawl wrote it",
			"put the group's settings right by hand, and remove its tags "+tagPrefix+"*")
	}
	return s, nil
}

// encodeTemplate is the version of the run as a tag's value. "0" stands before it is known.
func (s snapshot) encodeTemplate() string {
	if s.Made {
		return s.Pinned + " made"
	}
	return s.Pinned + " found"
}

// withTemplate reads it.
func (s snapshot) withTemplate(text string) snapshot {
	words := strings.Fields(text)
	if len(words) == 2 {
		s.Made = words[1] == "made"
		if s.Pinned = words[0]; s.Pinned == "0" {
			s.Pinned = ""
		}
	}
	return s
}

// want is the record of a machine that is being made, as the tag of a group.
type want struct {
	key     string
	attempt int    // counts what AWS refused: a client token that was refused is not used again
	failed  bool   // AWS refused; nothing is being made
	old     string // whose place it is: a later try for the same one takes the record's place
	since   string // the group's latest scaling activity when it was asked for; "-" for none
}

func (w want) encode() string {
	state := "open"
	if w.failed {
		state = "failed"
	}
	return fmt.Sprintf("%d %s %s %s", w.attempt, state, w.old, w.since)
}

// wants reads the records among a group's tags.
func wants(tags map[string]string) []want {
	var all []want
	for _, key := range sorted(tags) {
		slot, ok := strings.CutPrefix(key, tagWant)
		words := strings.Fields(tags[key])
		if !ok || len(words) != 4 {
			continue
		}
		attempt, _ := strconv.Atoi(words[0])
		all = append(all, want{key: slot, attempt: attempt, failed: words[1] == "failed", old: words[2], since: words[3]})
	}
	return all
}

// open are those for which a machine is being made: not refused, and not there already.
func open(all []want, claimed []string) []want {
	return slices.DeleteFunc(slices.Clone(all), func(w want) bool { return w.failed || slices.Contains(claimed, w.key) })
}

// client is the token of the attempt.
func (w want) client() string {
	if w.attempt == 0 {
		return w.key
	}
	return token(w.key, strconv.Itoa(w.attempt))
}
