package binaries

import (
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// flag is one of a component's command line.
type flag struct {
	name  string // without dashes; the short -v is "v"
	value string
	given bool // with a value
	short bool // one dash and one letter
}

// parseFlags reads a command line as Kubernetes' components and etcd do. Which flags are switches, which take no value
// from the next word, is not known here; a word that begins with a dash is the next flag, unless it is a number.
func parseFlags(argv []string) []flag {
	var flags []flag
	for i := 0; i < len(argv); i++ {
		bare := strings.TrimLeft(argv[i], "-")
		dashes := len(argv[i]) - len(bare)
		if dashes == 0 || bare == "" {
			continue // no flag: the component would refuse it
		}
		f := flag{}
		f.name, f.value, f.given = strings.Cut(bare, "=")
		if dashes == 1 && f.name != "" && f.name[0] == 'v' && len(f.name) > 1 && f.name[1] >= '0' && f.name[1] <= '9' {
			f = flag{name: "v", value: f.name[1:], given: true} // -v2
		}
		f.short = dashes == 1 && len(f.name) == 1
		if !f.given && i+1 < len(argv) && !isFlag(argv[i+1]) {
			i++
			f.value, f.given = argv[i], true
		}
		flags = append(flags, f)
	}
	return flags
}

func isFlag(word string) bool {
	return len(word) > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9')
}

// word is how the flag is written in one word, that takes nothing from the next.
func (f flag) word() string {
	s := "--" + f.name
	if f.short {
		s = "-" + f.name
	}
	if f.given {
		s += "=" + f.value
	}
	return s
}

// names are those of the flags, as they are shown.
func names(flags []flag) []string {
	var all []string
	for _, f := range flags {
		f.given = false
		all = append(all, f.word())
	}
	return all
}

// value is that of the last flag of the name, "" where there is none.
func value(flags []flag, name string) string {
	for i := len(flags) - 1; i >= 0; i-- {
		if strings.ReplaceAll(flags[i].name, "_", "-") != name {
			continue
		}
		if !flags[i].given {
			return "true"
		}
		return flags[i].value
	}
	return ""
}

// gates are those of --feature-gates, which may be given several times.
func gates(flags []flag) map[string]bool {
	all := map[string]bool{}
	for _, f := range flags {
		if strings.ReplaceAll(f.name, "_", "-") != "feature-gates" {
			continue
		}
		for gate, on := range upgrade.ParseGates(f.value) {
			// kube-apiserver lets them be written kube:Name=true (component-base, compatibility registry).
			all[gate[strings.LastIndexByte(gate, ':')+1:]] = on
		}
	}
	return all
}
