package config

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
)

const reached = `kubeconfig: ./admin.conf
ssh:
  user: admin
  keyFile: ./id_ed25519
  certificateFile: ./vault-cert.pub
  knownHostsFile: ./known_hosts
`

func TestJumpHosts(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want func(dir string) Jumps
	}{
		"none": {"", func(string) Jumps { return nil }},
		"one, as the machines are reached": {"  jump: bastion.example.org\n", func(dir string) Jumps {
			return Jumps{{Address: "bastion.example.org", User: "admin", KeyFile: filepath.Join(dir, "id_ed25519"),
				CertificateFile: filepath.Join(dir, "vault-cert.pub"), KnownHostsFile: filepath.Join(dir, "known_hosts")}}
		}},
		"two, the second with its own": {"  jump: [ops@bastion:2222, {address: '[fd00::1]:22', user: root, keyFile: ./inner, knownHostsFile: /etc/inner}]\n", func(dir string) Jumps {
			return Jumps{
				{Address: "bastion:2222", User: "ops", KeyFile: filepath.Join(dir, "id_ed25519"),
					CertificateFile: filepath.Join(dir, "vault-cert.pub"), KnownHostsFile: filepath.Join(dir, "known_hosts")},
				{Address: "[fd00::1]:22", User: "root", KeyFile: filepath.Join(dir, "inner"), KnownHostsFile: "/etc/inner"},
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, "lab", reached+tc.text)
			c, err := Load(dir, "lab")
			require.NoError(t, err)
			require.Equal(t, tc.want(dir), c.SSH.Jump)
			require.Equal(t, filepath.Join(dir, "vault-cert.pub"), c.SSH.CertificateFile)
		})
	}
}

func TestBadJumpHostsAndQueuesSayWhatWasWanted(t *testing.T) {
	for text, says := range map[string]string{
		"  jump: ops@\n":                      `ssh.jump[0]: is "", wanted [user@]host[:port]`,
		"  jump: 'one,two'\n":                 `ssh.jump[0]: is "one,two", wanted [user@]host[:port], several as a list`,
		"  jump: [one, 'two:ssh']\n":          `ssh.jump[1]: is "two:ssh", wanted [user@]host[:port]`,
		"  jump: ssh://one\n":                 `ssh.jump[0]: is "ssh://one", wanted`,
		"  jump: {host: one}\n":               `ssh.jump: unknown field "host", wanted one of address, user, keyFile,`,
		"  jump: [one, {user: [a]}]\n":        "ssh.jump[1].user: is a list, wanted a text",
		"  port: 99999\n":                     "ssh.port: is 99999, wanted a number from 1 to 65535",
		"  port: -1\n":                        "ssh.port: is -1, wanted a number from 1 to 65535",
		"  hosts: {w1: {port: 65536}}\n":      "ssh.hosts.w1.port: is 65536, wanted a number from 1 to 65535",
		"  jump: 7\n":                         "ssh.jump: is a number, wanted [user@]host[:port], or a mapping of address, user,",
		"taskQueue: /_sys/x\n":                `taskQueue: is "/_sys/x", wanted a name of letters`,
		"taskQueue: pawl site\n":              `taskQueue: is "pawl site", wanted`,
		"  certificate: ./vault-cert.pub\n":   `ssh: unknown field "certificate"`,
		"  jump: {address: a, jump: {}}\n":    `ssh.jump: unknown field "jump"`,
		"  jump: {address: 'a b', user: x}\n": `ssh.jump[0]: is "a b"`,
	} {
		_, err := Load(write(t, "lab", reached+text), "lab")
		require.ErrorContains(t, err, says)
		require.Equal(t, fault.InvalidInput, fault.KindOf(err))
		require.NotContains(t, err.Error(), "\n")
	}
}
