package binaries

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Check asks the new binary of a change, which Fetch has brought, whether it knows the flags that the unit gives the old
// one. It is given them together with --help, with which it reads them, says its help and ends: it does not start.
func (h *Host) Check(ctx context.Context, change upgrade.BinaryChange) ([]upgrade.Finding, error) {
	const op = "check the flags of"
	c, err := h.one(ctx, op, change.Component)
	if err != nil {
		return nil, err
	}
	if !c.kind.unit || c.Component == upgrade.Containerd {
		return nil, nil
	}
	program := c.Path
	if c.OnDisk != change.To {
		staged, err := h.staged(ctx, op, c, change.To)
		if err != nil {
			return nil, err
		}
		if !staged {
			return nil, fault.New(fault.PreflightFailed, op+" "+c.Component+" on", h.node, versioned(c.Path, change.To)+" is not there", "fetch it first")
		}
		program = versioned(c.Path, change.To)
	}
	return h.tryFlags(ctx, c, program, change.To)
}

// tryFlags gives the flags to the program until it takes them, leaving out those that it refuses.
func (h *Host) tryFlags(ctx context.Context, c component, program string, v upgrade.Version) ([]upgrade.Finding, error) {
	flags := slices.DeleteFunc(slices.Clone(c.flags), func(f flag) bool { return f.name == "help" || f.name == "h" || f.name == "version" })
	var found []upgrade.Finding
	for {
		argv := append([]string{"timeout", "20", program}, helpWith(c.Component, flags)...)
		r, err := h.on.User(ctx, argv...) // not as root: it needs nothing
		if err != nil {
			return nil, err
		}
		if r.ExitCode == 126 || r.ExitCode == 127 {
			if r, err = h.on.Root(ctx, argv...); err != nil {
				return nil, err
			}
		}
		if r.ExitCode == 0 {
			return found, nil
		}
		name, why := refusal(r.Stdout + "\n" + r.Stderr)
		i := slices.IndexFunc(flags, func(f flag) bool { return f.name == name || strings.ReplaceAll(f.name, "_", "-") == name })
		if i < 0 {
			return nil, fault.New(fault.VerificationFailed, "check the flags of "+c.Component+" on", h.node,
				fmt.Sprintf("%s --help exited with %d, and did not say which flag it is about", program, r.ExitCode), "ask it by hand")
		}
		shown := names(flags[i : i+1])[0]
		f := upgrade.Finding{ID: upgrade.FlagRemoved, Severity: upgrade.SeverityError, Target: h.node, Remedy: "take it out of the unit",
			Message: fmt.Sprintf("%s sets %s, which %s of %s does not know", c.Unit.Name, shown, c.Component, v)}
		if why != "" {
			f.Message = fmt.Sprintf("%s sets %s to what %s of %s refuses: %s", c.Unit.Name, shown, c.Component, v, why)
			f.Remedy = "put it right in the unit"
		}
		found = append(found, f)
		flags = slices.DeleteFunc(flags, func(f flag) bool { return f.name == name || strings.ReplaceAll(f.name, "_", "-") == name })
	}
}

// helpWith is a command line that makes a program read the flags and say its help. Each flag is one word that takes nothing
// from the next, so --help cannot become another one's value. Programs of Kubernetes read on behind --help; etcd ends
// there, and so has it last.
func helpWith(component string, flags []flag) []string {
	var words []string
	for _, f := range flags {
		if component == upgrade.Etcd && !f.given { // a switch, or what etcd refuses so or so
			f.value, f.given = "true", true
		}
		words = append(words, f.word())
	}
	if component == upgrade.Etcd {
		return append(words, "--help")
	}
	return append([]string{"--help"}, words...)
}

// What programs say of a flag that they do not take: those of Kubernetes (pflag), etcd (flag of Go's standard library).
var (
	unknownFlag = regexp.MustCompile(`(?:unknown flag: --|unknown shorthand flag: '|flag provided but not defined: -)([A-Za-z0-9_-]+)`)
	badValue    = regexp.MustCompile(`(?s)invalid (?:argument|(?:boolean )?value) ".*?" for (?:"(?:-[A-Za-z], )?--?([A-Za-z0-9_-]+)" flag|(?:flag )?-([A-Za-z0-9_-]+)): ([^\n]*)`)
)

// refusal reads which flag a program does not take and, where it knows it, why it does not take its value. The value itself
// is left out: it may be secret.
func refusal(output string) (name, why string) {
	output = strings.ReplaceAll(output, `\"`, `"`) // the kubelet's is within quotes itself
	if m := unknownFlag.FindStringSubmatch(output); m != nil {
		return m[1], ""
	}
	if m := badValue.FindStringSubmatch(output); m != nil {
		value := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(m[3], `"..."`)
		return m[1] + m[2], strings.TrimSuffix(remote.Tail(value), `"`)
	}
	return "", ""
}
