package cli

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/starter/internal/exit"
)

var updateSudoers = flag.Bool("update", false, "write deploy/sudoers anew")

// TestDeployedSudoers keeps the examples that people install the ones that this pawl writes.
func TestDeployedSudoers(t *testing.T) {
	for name, args := range map[string][]string{
		"kubeadm-apt":    {"--package-manager", "apt"},
		"kubeadm-dnf":    {"--package-manager", "dnf"},
		"kubeadm-zypper": {"--package-manager", "zypper"},
		"binaries":       {"--provider", "binaries"},
	} {
		var out bytes.Buffer
		c := rootCommand()
		c.SetOut(&out)
		c.SetArgs(append([]string{"sudoers"}, args...))
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("..", "..", "..", "deploy", "sudoers", name)
		if *updateSudoers {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(want, out.Bytes()) {
			t.Errorf("deploy/sudoers/%s is not what this pawl writes (%v); run the test with -update", name, err)
		}
		valid(t, out.Bytes())
	}
}

// valid asks visudo.
func valid(t *testing.T, text []byte) {
	t.Helper()
	if _, err := exec.LookPath("visudo"); err != nil {
		if os.Getenv("PAWL_TEST_REQUIRE_ALL") == "1" {
			t.Fatal("there is no visudo; make deps installs it")
		}
		t.Log("SKIPPED, NOT TESTED WITH visudo: it is not there; make deps installs it")
		return
	}
	file := filepath.Join(t.TempDir(), "sudoers")
	if err := os.WriteFile(file, text, 0o440); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("visudo", "--check", "--strict", "--file="+file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestSudoers(t *testing.T) {
	for line, want := range map[string]string{
		"--package-manager apt --user upgrades":                                          "upgrades ALL=(root) NOPASSWD: /usr/bin/",
		"--package-manager apt --repository http://10.0.0.1/repo/":                       `download-file http://10\.0\.0\.1/repo/v[0-9]+\.[0-9]+/deb/Release\.key `,
		"--package-manager dnf --source-file /etc/yum.repos.d/k8s.repo":                  `cat ^/etc/yum\.repos\.d/k8s\.repo$`,
		"--package-manager apt --keyring /etc/apt/keyrings/company.gpg":                  `cat ^/etc/apt/keyrings/company\.gpg$`,
		"--package-manager apt --hook /usr/local/bin/silence":                            "unit=pawl-hook-[0-9a-f]{12} ",
		"--provider binaries --folder /opt/k8s/bin --mirror file:///srv --file /etc/a.e": `-- file:///srv(/`,
		"--package-manager apt --any-arguments":                                          "NOPASSWD: /usr/bin/cat\n",
	} {
		var out bytes.Buffer
		c := rootCommand()
		c.SetOut(&out)
		c.SetArgs(append([]string{"sudoers"}, strings.Fields(line)...))
		if err := c.Execute(); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: no %q in\n%s", line, want, out.String())
		}
		valid(t, out.Bytes())
	}
}

func TestSudoersRefusesBadInput(t *testing.T) {
	for line, want := range map[string]string{
		"":                         `--package-manager is "", wanted apt, dnf or zypper`,
		"--package-manager pacman": `--package-manager is "pacman", wanted apt, dnf or zypper`,
		"--provider eks":           "pawl logs in to no host of others",
		"--provider binaries --package-manager apt":                  "from no package",
		"--package-manager apt --user root":                          "--user is root, who needs no sudo; wanted another, such as pawl",
		"--package-manager apt --user a,b":                           `--user is "a,b", wanted a name of a-z, 0-9, _ and -, such as pawl`,
		"--package-manager apt --repository mirror":                  `--repository is "mirror", wanted a plain address, such as https://pkgs.k8s.io/core:/stable:`,
		"--package-manager apt --repository https://u:p@mirror/x":    "--repository is an address with user, query or fragment, wanted a plain",
		"--provider binaries --mirror file:///srv --mirror mirror":   `--mirror is "mirror", wanted a plain address`,
		"--package-manager apt --source-file ../x":                   `--source-file is "../x", wanted a plain absolute path`,
		"--package-manager apt --hook silence":                       `--hook is "silence", wanted the absolute path of a program, and its arguments`,
		"--package-manager apt --hook /bin/x#":                       "--hook /bin/x#: sudo cannot tell",
		"--provider binaries --folder /" + strings.Repeat("x/", 500): `wanted a plain absolute path, such as /usr/local/bin`,
		"--package-manager apt --folder /opt/bin":                    "--folder is for hosts of binaries, not of apt: leave it out",
		"--package-manager dnf --mirror file:///srv":                 "--mirror is for hosts of binaries, not of dnf",
		"--package-manager apt --file /etc/x":                        "--file is for hosts of binaries, not of apt",
		"--package-manager zypper --keyring /etc/x":                  "--keyring is for hosts of apt, not of zypper",
		"--provider binaries --repository https://mirror/x":          "--repository is for hosts of apt dnf zypper, not of binaries",
	} {
		c := rootCommand()
		c.SetArgs(append([]string{"sudoers"}, strings.Fields(line)...))
		err := c.Execute()
		if exit.Code(err) != exit.BadInput || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", line, err)
		}
	}
}
