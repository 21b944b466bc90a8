package machine

import (
	"fmt"
	"slices"
	"strings"
)

// optSpec says which options a program knows, as getopt_long(3) is told: in short a colon follows a letter that takes
// a value; in long, separated by commas, "=" follows a name that takes one and "?" one that may.
type optSpec struct {
	short, long string
	exit        int  // exit code when an option is unknown
	ordered     bool // options end with the first argument
}

type opts struct {
	set    map[string][]string // by letter or long name
	args   []string
	dashes int // how many of the arguments stood before "--"; -1 without one
}

func (o *opts) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return o.set[name] != nil })
}

// value is the last value of the option under any of its names.
func (o *opts) value(names ...string) string {
	for _, name := range names {
		if v := o.set[name]; len(v) > 0 {
			return v[len(v)-1]
		}
	}
	return ""
}

// options parses the process's arguments. When there is an option that is not known it says so as GNU programs do and
// returns no options and the exit code.
func (p *process) options(name string, spec optSpec) (*opts, int) {
	long := map[string]byte{}
	for _, l := range strings.Split(spec.long, ",") {
		if l == "" {
			continue
		}
		if last := l[len(l)-1]; last == '=' || last == '?' {
			long[l[:len(l)-1]] = last
		} else {
			long[l] = 0
		}
	}
	o := &opts{set: map[string][]string{}, dashes: -1}
	args := p.argv[1:]
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			o.dashes = len(o.args)
			o.args = append(o.args, args[i+1:]...)
			return o, 0
		case strings.HasPrefix(arg, "--"):
			key, value, with := strings.Cut(arg[2:], "=")
			kind, ok := long[key]
			if !ok {
				return nil, p.badOption(name, arg, spec.exit)
			}
			if kind == '=' && !with {
				if i+1 == len(args) {
					return nil, p.fail(spec.exit, "%s: option '--%s' requires an argument\nTry '%s --help' for more information.", name, key, name)
				}
				i++
				value = args[i]
			}
			if kind == 0 && with {
				return nil, p.fail(spec.exit, "%s: option '--%s' doesn't allow an argument\nTry '%s --help' for more information.", name, key, name)
			}
			o.set[key] = append(o.set[key], value)
		case len(arg) > 1 && arg[0] == '-':
			for j := 1; j < len(arg); j++ {
				letter := arg[j : j+1]
				at := strings.Index(spec.short, letter)
				if at < 0 || letter == ":" {
					return nil, p.badOption(name, "-"+letter, spec.exit)
				}
				if at+1 < len(spec.short) && spec.short[at+1] == ':' {
					value := arg[j+1:]
					if value == "" {
						if i+1 == len(args) {
							return nil, p.fail(spec.exit, "%s: option requires an argument -- '%s'\nTry '%s --help' for more information.", name, letter, name)
						}
						i++
						value = args[i]
					}
					o.set[letter] = append(o.set[letter], value)
					break
				}
				o.set[letter] = append(o.set[letter], "")
			}
		default:
			o.args = append(o.args, arg)
			if spec.ordered {
				o.args = append(o.args, args[i+1:]...)
				return o, 0
			}
		}
	}
	return o, 0
}

// badOption refuses an option as getopt(3) does.
func (p *process) badOption(name, option string, exit int) int {
	said := fmt.Sprintf("invalid option -- '%s'", strings.TrimPrefix(option, "-"))
	if strings.HasPrefix(option, "--") {
		key, _, _ := strings.Cut(option, "=")
		said = "unrecognized option '" + key + "'"
	}
	switch name {
	case "kubeadm", "kubectl": // cobra's words
		said = "unknown flag: " + option
		if !strings.HasPrefix(option, "--") {
			said = fmt.Sprintf("unknown shorthand flag: '%s' in %s", strings.TrimPrefix(option, "-"), option)
		}
		return p.fail(exit, "error: %s\nTo see the stack trace of this error execute with --v=5 or higher", said)
	case "tar":
		return p.fail(exit, "tar: %s\nTry 'tar --help' or 'tar --usage' for more information.", said)
	case "systemctl", "systemd-run", "journalctl":
		return p.fail(exit, "%s: %s", name, said)
	}
	return p.fail(exit, "%s: %s\nTry '%s --help' for more information.", name, said, name)
}
