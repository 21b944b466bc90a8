package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/internal/sudoers/sudoerstest"
)

// ranAsRoot is what the tests of this package run as root, by package manager.
var ranAsRoot = map[sudoers.Kind]*sudoerstest.Record{}

func init() {
	for _, k := range []sudoers.Kind{sudoers.APT, sudoers.DNF, sudoers.Zypper} {
		r, err := sudoerstest.New(k, sudoers.Site{})
		if err != nil {
			panic(err)
		}
		ranAsRoot[k] = r
	}
}

// listed is a Runner on which a command as root that the sudoers file has not fails the test.
type listed struct {
	t    testing.TB
	kind sudoers.Kind
	// repository is the base of the package repositories there; the file has upstream's.
	repository string
	Runner
}

// ofTests are names of things that tests put on a real node, and the names that these have elsewhere.
var ofTests = strings.NewReplacer("file:/run/pawl-repository/", "https://pkgs.k8s.io/core:/stable:/",
	"/etc/apt/sources.list.d/pawl-test", "/etc/apt/sources.list.d/kubernetes", "/etc/apt/sources.list.d/.pawl-test", "/etc/apt/sources.list.d/.kubernetes",
	"pawl-test=", "kubectl=", "pawl-apt-install-pawl-test-", "pawl-apt-install-kubectl-",
	"/var/lib/pawl-test.db", "/var/lib/etcd/pawl-test.db", "/run/pawl-test.db", "/var/lib/etcd/pawl-test.db")

// Listed makes one for a machine with that package manager. It is exported to the external test package only.
func Listed(t testing.TB, k sudoers.Kind, repository string, r Runner) Runner {
	return listed{t, k, strings.TrimRight(repository, "/"), r}
}

func (l listed) Run(ctx context.Context, cmd Command) (Result, error) {
	if cmd.Root {
		l.record(cmd.Argv)
	}
	return l.Runner.Run(ctx, cmd)
}

func (l listed) record(argv []string) {
	const upstream = "https://pkgs.k8s.io/core:/stable:"
	asIf := make([]string, len(argv))
	for i, arg := range argv {
		pattern, rest := "", arg
		if parts := strings.SplitN(arg, "|", 3); strings.HasPrefix(arg, "--expression=") && len(parts) == 3 { // s|pattern|... and \|pattern|!d
			pattern, rest = parts[0]+"|"+parts[1], "|"+parts[2]
		}
		pattern = strings.NewReplacer(sedPattern(l.repository)+"/", sedPattern(upstream)+"/", "file:/run/pawl-repository/", sedPattern(upstream)+"/").Replace(pattern)
		asIf[i] = ofTests.Replace(pattern + strings.ReplaceAll(rest, l.repository+"/", upstream+"/"))
		if arg == "pawl-test" {
			asIf[i] = "kubectl"
		}
	}
	if err := ranAsRoot[l.kind].Add(asIf); err != nil {
		l.t.Error(err)
	}
}

// CheckSudoers returns nil when the real sudo lets all through that the tests ran, and says which rules none of them has
// used. Where only some tests were run, it has nothing to say.
func CheckSudoers() error {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return nil
		}
	}
	var errs []error
	for k, r := range ranAsRoot {
		if k != sudoers.APT && !withRealRPM() {
			continue
		}
		for _, rule := range r.Unused() {
			fmt.Fprintf(os.Stderr, "no test needed this line of the sudoers file for %s: %s\n", k, rule.Line())
		}
		refused, err := r.Refused()
		if errors.Is(err, sudoerstest.ErrLacking) && os.Getenv("PAWL_TEST_REQUIRE_ALL") != "1" {
			continue
		}
		errs = append(errs, err)
		for _, argv := range refused {
			errs = append(errs, fmt.Errorf("the real sudo refuses with the file for %s: %q", k, argv))
		}
	}
	return errors.Join(errs...)
}

// withRealRPM reports whether the tests with the real dnf and zypper were run.
func withRealRPM() bool { return os.Getuid() == 0 }
