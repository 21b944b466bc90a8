package ssh

import (
	"testing"
)

func TestCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		cmd  Command
		user string
		want string
	}{
		"plain":          {Command{Argv: []string{"echo", "a b"}}, "admin", "echo 'a b'"},
		"root as root":   {Command{Argv: []string{"id"}, Root: true}, "root", "id"},
		"root by sudo":   {Command{Argv: []string{"id", "$x"}, Root: true}, "admin", "LC_ALL=C sudo -n -- id '$x'"},
		"empty argument": {Command{Argv: []string{"echo", ""}}, "root", "echo ''"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := commandLine(c.cmd, c.user)
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	for name, argv := range map[string][]string{"empty": nil, "NUL": {"echo", "a\x00b"}} {
		if _, err := commandLine(Command{Argv: argv}, "root"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSudoRefused(t *testing.T) {
	for stderr, want := range map[string]bool{
		"sudo: a password is required\n":                                                      true,
		"Sorry, user admin is not allowed to execute '/usr/bin/id' as root on node1.\n":       true,
		"admin is not in the sudoers file.\n":                                                 true,
		"sudo: unable to resolve host node1: Name or service not known\ncat: x: no such file": false,
		"": false,
	} {
		if got := sudoRefused(Result{ExitCode: 1, Stderr: stderr}); got != want {
			t.Errorf("%q: %v, want %v", stderr, got, want)
		}
	}
}

func TestHostPort(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Address: "node1"}, "node1:22"},
		{Config{Address: "node1", Port: 2222}, "node1:2222"},
		{Config{Address: "node1:23", Port: 2222}, "node1:23"},
		{Config{Address: "fd00::1"}, "[fd00::1]:22"},
		{Config{Address: "[fd00::1]"}, "[fd00::1]:22"},
		{Config{Address: "[fd00::1]:23"}, "[fd00::1]:23"},
	} {
		if got := c.cfg.hostPort(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.cfg, got, c.want)
		}
	}
}
