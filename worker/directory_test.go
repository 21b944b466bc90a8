package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/ssh"
)

// TestConnectionsGoThroughTheJumpHosts: the first one on the way is dialled, and no other; what belongs to the same way is
// kept, and what is reached in another way is another connection.
func TestConnectionsGoThroughTheJumpHosts(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	first := l.Addr().String()
	require.NoError(t, l.Close()) // nobody answers there
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := gossh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	for file, text := range map[string]string{
		"known_hosts": "", "id_ed25519": string(pem.EncodeToMemory(block)),
		"near.yaml": "kubeconfig: ./x\nssh: {user: admin, keyFile: ./id_ed25519, knownHostsFile: ./known_hosts}\n",
		"far.yaml":  fmt.Sprintf("taskQueue: site-b\nkubeconfig: ./x\nssh: {user: admin, keyFile: ./id_ed25519, knownHostsFile: ./known_hosts, jump: ['ops@%s', inner]}\n", first),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
	}
	d := newDirectory(dir)
	far, address, err := d.ssh("far", "w1", "10.255.0.1")
	require.NoError(t, err)
	require.Equal(t, "10.255.0.1", address)
	_, err = far.Run(t.Context(), ssh.Command{Argv: []string{"true"}})
	require.ErrorContains(t, err, "connect to admin@10.255.0.1:22: connect to admin@inner:22: connect to ops@"+first+": ")
	require.Equal(t, fault.Unreachable, fault.KindOf(err))

	again, _, err := d.ssh("far", "w1", "10.255.0.1")
	require.NoError(t, err)
	require.Same(t, far, again)
	near, _, err := d.ssh("near", "w1", "10.255.0.1")
	require.NoError(t, err)
	require.NotSame(t, far, near)
	require.Len(t, d.hosts, 4)

	queue, err := d.TaskQueue("far")
	require.NoError(t, err)
	require.Equal(t, "site-b", queue)
}
