// Package sudoers says which commands pawl runs as root on hosts, and writes them as a file for sudo.
//
// Rule: the table is exact. Every command that internal/host and internal/binaries run as root is matched by a rule, every
// rule is for one of them, and nothing that a rule lets through makes its caller root unless the rule says so (Open). The tests of
// these packages hold their commands against the table, so it changes together with them. Nothing here runs anything.
package sudoers

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Rule is one line of the file: a program, and what its arguments may be.
type Rule struct {
	Program string // absolute
	// Args is an extended regular expression of POSIX for the arguments, joined by single blanks as sudo does it
	// (sudoers(5), "Regular expressions"). It stands for all of them: ^ and $ are not written.
	Args string
	Why  string
	// Open says why the line is as good as root; empty: it is not.
	Open string
}

// Line is the rule as it stands behind a user's name.
func (r Rule) Line() string { return r.Program + " ^" + r.Args + "$" }

// Allows reports whether sudo lets the command through. A program without a path is the one that sudo finds.
func (r Rule) Allows(argv []string) bool {
	if len(argv) == 0 || argv[0] != r.Program && argv[0] != path.Base(r.Program) {
		return false
	}
	return regexp.MustCompile("^(" + r.Args + ")$").MatchString(strings.Join(argv[1:], " "))
}

// Table is what pawl runs as root on hosts of one kind.
type Table []Rule

// Find is the first rule that allows the command.
func (t Table) Find(argv []string) (Rule, bool) {
	i := slices.IndexFunc(t, func(r Rule) bool { return r.Allows(argv) })
	if i < 0 {
		return Rule{}, false
	}
	return t[i], true
}

// Programs are those of the table, each once.
func (t Table) Programs() []string {
	var all []string
	for _, r := range t {
		all = append(all, r.Program)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// stampPrefix begins the word that a plan asks sudo about.
const stampPrefix = "pawl-sudoers-"

// stampOf names the table by what is in it.
func (t Table) stamp() string {
	h := sha256.New()
	for _, r := range t {
		h.Write([]byte(r.Line() + "\n"))
	}
	return stampPrefix + hex.EncodeToString(h.Sum(nil))[:12]
}

// Probe is a command without effect. sudo allows it where the host has the file that this pawl writes, whatever the
// file was told of folders and mirrors; so one question tells that a file is of another pawl, or is not there.
func Probe(k Kind) []string {
	return []string{"test", "-n", k.table(defaults).stamp()}
}
