package network

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNodeAddress(t *testing.T) {
	for number, want := range map[int]string{0: "198.18.0.1", 249: "198.18.0.250", 250: "198.18.1.1", 999: "198.18.3.250"} {
		require.Equal(t, want, NodeAddress(number))
	}
}

// connect asks the proxy for a connection to address.
func connect(t *testing.T, n *Network, method, address string) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("unix", n.Socket())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, method+" "+address+" HTTP/1.1\r\nHost: sim\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	require.NoError(t, err)
	return response, conn, reader
}

func TestNetwork(t *testing.T) {
	n, err := New()
	require.NoError(t, err)
	defer n.Close()
	place, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { // a server that says everything twice
		for {
			conn, err := place.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, line+line)
			_ = conn.Close()
		}
	}()
	const node = "198.18.0.1:10250"
	n.Join(node, place.Addr().String())

	t.Run("to a node", func(t *testing.T) {
		response, conn, reader := connect(t, n, http.MethodConnect, node)
		require.Equal(t, http.StatusOK, response.StatusCode)
		_, err := io.WriteString(conn, "ho\n")
		require.NoError(t, err)
		text, err := io.ReadAll(reader)
		require.NoError(t, err, "the end comes through, too")
		require.Equal(t, "ho\nho\n", string(text))
	})
	t.Run("to nobody", func(t *testing.T) {
		for _, address := range []string{"198.18.0.2:10250", "198.18.0.1:22", place.Addr().String()} {
			response, _, _ := connect(t, n, http.MethodConnect, address)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusBadGateway, response.StatusCode, address)
			require.Equal(t, "no such node\n", string(text))
		}
	})
	t.Run("another method", func(t *testing.T) {
		response, _, _ := connect(t, n, http.MethodGet, "http://"+node+"/pods")
		require.Equal(t, http.StatusBadGateway, response.StatusCode)
	})
	t.Run("to a node whose kubelet is away", func(t *testing.T) {
		require.NoError(t, place.Close())
		response, _, _ := connect(t, n, http.MethodConnect, node)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, response.StatusCode)
		require.Contains(t, string(text), "connection refused")
	})
	n.Close()
	_, err = os.Stat(filepath.Dir(n.Socket()))
	require.ErrorIs(t, err, os.ErrNotExist, "the socket's folder is gone")
	_, err = net.Dial("unix", n.Socket())
	require.Error(t, err)
}
