package watch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// letters are the keys of updates that people send often. Whatever else an upgrade offers has a number.
var letters = map[string]string{"retry": "r", "skip": "s", "abort": "x", "approve": "a", "pause": "p", "resume": "p"}

// offer is something that can be done now, with its key.
type offer struct {
	key    string
	node   string // whose workflow is told; "" is the cluster's
	choice upgrade.Choice
	whole  bool // all of the JSON is asked for, not only the reason
}

// offers are what can be done now: about the selected node, about the upgrade as a whole, then what can be done at any
// time. A key means the first that wants it.
func (s screen) offers() []offer {
	var all []offer
	taken := map[string]bool{}
	number := 0
	add := func(node string, choices []upgrade.Choice) {
		for _, c := range choices {
			o := offer{key: letters[c.Update], node: node, choice: c}
			if o.key == "" {
				number++
				o.key, o.whole = strconv.Itoa(number), true
			}
			if number < 10 && !taken[o.key] {
				taken[o.key] = true
				all = append(all, o)
			}
		}
	}
	waits := s.last.AllWaits()
	for _, node := range slices.Compact([]string{s.selected, ""}) {
		for _, w := range waits {
			if w.Node == node {
				add(node, w.Choices)
			}
		}
	}
	if !s.last.State.Ended() {
		add("", s.person.Anytime)
	}
	return all
}

// label is how an offer stands below the picture.
func (o offer) label() string { return o.key + " " + o.choice.Update }

// question is what is asked before an offer is taken.
func (o offer) question() string {
	about := "the upgrade"
	if o.node != "" {
		about = o.node
	}
	if o.whole {
		return fmt.Sprintf("%s %s, with: ", o.choice.Update, about)
	}
	return fmt.Sprintf("%s %s, because: ", o.choice.Update, about)
}

// payload is what is sent: the example with the reason and the person put in, or the JSON that was typed.
func (o offer) payload(typed, by string) (map[string]any, error) {
	text := o.choice.Example
	if o.whole {
		text = typed
	}
	fields := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			return nil, fmt.Errorf("that is no JSON object: %w", err)
		}
	}
	if !o.whole {
		fields["reason"] = typed
	}
	fields["by"] = by
	return fields, nil
}
