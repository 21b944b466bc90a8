// Package sudoerstest holds what is run as root on hosts in tests against the table of package sudoers.
//
// Rule: only tests use it. A command that no rule allows fails the test that ran it; a rule that no command of a whole
// run used is told of; and the real sudo has the last word.
package sudoerstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pawl-dev/pawl/internal/sudoers"
)

// Record is what was run as root on one kind of host. Its methods may be used concurrently.
type Record struct {
	table sudoers.Table

	mu   sync.Mutex
	used map[int][][]string // commands by the rule's place in the table
	seen map[string]error   // by command line: tests run the same ones over and over
}

// New makes an empty record.
func New(k sudoers.Kind, s sudoers.Site) (*Record, error) {
	table, err := sudoers.New(k, s)
	return &Record{table: table, used: map[int][][]string{}, seen: map[string]error{}}, err
}

// mostOfARule is how many commands are kept for each rule.
const mostOfARule = 12

// Add takes a command that is run as root. The error says that no rule allows it.
func (r *Record) Add(argv []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := strings.Join(argv, "\x00")
	err, known := r.seen[line]
	if !known {
		err = r.add(argv)
		r.seen[line] = err
	}
	return err
}

func (r *Record) add(argv []string) error {
	found := false
	for i, rule := range r.table {
		if !rule.Allows(argv) {
			continue
		}
		found = true
		if len(r.used[i]) < mostOfARule {
			r.used[i] = append(r.used[i], slices.Clone(argv))
		}
	}
	if !found {
		return fmt.Errorf("sudo would refuse, as the table has no rule for it: %q", argv)
	}
	return nil
}

// Unused are the rules that no command has used.
func (r *Record) Unused() []sudoers.Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	var unused []sudoers.Rule
	for i, rule := range r.table {
		if len(r.used[i]) == 0 {
			unused = append(unused, rule)
		}
	}
	return unused
}

// Refused are those of the commands that the real sudo does not let a user run who has the table's file and nothing else.
func (r *Record) Refused() ([][]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ran [][]string
	for i := range r.table {
		ran = append(ran, r.used[i]...)
	}
	may, err := Ask(r.table, ran)
	if err != nil {
		return nil, err
	}
	var refused [][]string
	for i, argv := range ran {
		if !may[i] {
			refused = append(refused, argv)
		}
	}
	return refused, nil
}
