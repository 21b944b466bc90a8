package sudoers

import (
	"fmt"
	"regexp"
	"strings"
)

// MostPattern is how long a regular expression may be (sudoers(5)).
const MostPattern = 1024

// userName is what useradd(8) takes, and so nothing that means something else in the file.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// File is the table as a file for /etc/sudoers.d. head is put at its top as comments.
func (t Table) File(user string, head ...string) (string, error) {
	if !userName.MatchString(user) {
		return "", fmt.Errorf("--user is %q, wanted a name of a-z, 0-9, _ and -, such as pawl", user)
	}
	if user == "root" {
		return "", fmt.Errorf("--user is root, who needs no sudo; wanted another, such as pawl")
	}
	var b strings.Builder
	for _, line := range head {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	b.WriteString(defaultsOf(user))
	why := ""
	for _, r := range t {
		if len(r.Line())-len(r.Program) > MostPattern {
			return "", fmt.Errorf("what %s may be called with (%s) takes more than the %d characters that sudo reads; name fewer folders or mirrors", r.Program, r.Why, MostPattern)
		}
		if said := r.said(); said != why {
			b.WriteString("\n# " + said + "\n")
			why = said
		}
		b.WriteString(user + " ALL=(root) NOPASSWD: " + r.Line() + "\n")
	}
	return b.String(), nil
}

func (r Rule) said() string {
	if r.Open == "" {
		return r.Why
	}
	return r.Why + " (" + r.Open + ")"
}

// defaultsOf: programs are looked for where only root can put some, and of the caller's environment nothing is left but
// the language.
func defaultsOf(user string) string {
	return "Defaults:" + user + ` env_reset, env_keep="LC_ALL", secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"` + "\n"
}

// ProgramsFile is for a sudo without regular expressions: the programs, with whatever arguments. That is as good as root.
func (t Table) ProgramsFile(user string, head ...string) (string, error) {
	var open Table
	for _, p := range t.Programs() {
		open = append(open, Rule{Program: p})
	}
	text, err := open.File(user, head...)
	return strings.ReplaceAll(text, " ^$\n", "\n"), err
}
