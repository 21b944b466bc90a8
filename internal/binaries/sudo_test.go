package binaries

import (
	"errors"
	goflag "flag"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/pawl-dev/pawl/internal/sudoers"
	"github.com/pawl-dev/pawl/internal/sudoers/sudoerstest"
)

// ranAsRoot is what the tests of this package run as root.
var ranAsRoot = func() *sudoerstest.Record {
	r, err := sudoerstest.New(sudoers.Binaries, sudoers.Site{})
	if err != nil {
		panic(err)
	}
	return r
}()

// unlisted is what pawl does without where its user is not root (runningVersion).
var unlisted = regexp.MustCompile(`^timeout 20 /proc/\d+/exe `)

// record takes a command of the world as if its folders and mirrors were those that hosts have.
func (w *world) record(argv []string) {
	if unlisted.MatchString(strings.Join(argv, " ")) {
		return
	}
	const github = "https://github.com/"
	usual := strings.NewReplacer(
		w.dir+"/pawl", "/var/lib/pawl", w.dir+"/bin", "/usr/local/bin", w.dir+"/units", "/etc/systemd/system", w.dir+"/etc", "/etc/kubernetes",
		"file://"+w.dir+"/mirror/release", "https://dl.k8s.io", unreachable, "https://dl.k8s.io", w.mirror.URL+"/release", "https://dl.k8s.io",
		w.mirror.URL+"/etcd", github+"etcd-io/etcd/releases/download", w.mirror.URL+"/containerd", github+"containerd/containerd/releases/download",
		w.mirror.URL+"/runc", github+"opencontainers/runc/releases/download", w.mirror.URL+"/cni", github+"containernetworking/plugins/releases/download",
	)
	asIf := make([]string, len(argv))
	for i, arg := range argv {
		asIf[i] = usual.Replace(arg)
	}
	if err := ranAsRoot.Add(asIf); err != nil {
		w.t.Error(err)
	}
}

// checkSudoers returns nil when the real sudo lets all through that the tests ran, and says which rules none of them has
// used. Where only some tests were run, it has nothing to say.
func checkSudoers() error {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := goflag.Lookup(name); f != nil && f.Value.String() != "" {
			return nil
		}
	}
	var errs []error
	for _, rule := range ranAsRoot.Unused() {
		fmt.Fprintf(os.Stderr, "no test needed this line of the sudoers file: %s\n", rule.Line())
	}
	refused, err := ranAsRoot.Refused()
	if errors.Is(err, sudoerstest.ErrLacking) && os.Getenv("PAWL_TEST_REQUIRE_ALL") != "1" {
		err = nil
	}
	for _, argv := range refused {
		errs = append(errs, fmt.Errorf("the real sudo refuses: %q", argv))
	}
	return errors.Join(append(errs, err)...)
}
