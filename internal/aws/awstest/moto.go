package awstest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// motoPath finds moto_server. Without one the test says so loudly, or fails where everything is required.
func motoPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	switch {
	case err == nil:
	case os.Getenv("PAWL_TEST_REQUIRE_ALL") == "1":
		t.Fatal("there is no moto_server; pip install 'moto[server]' in a virtual environment")
	default:
		t.Skip("SKIPPED, NOT TESTED OVER MOTO: there is no moto_server; pip install 'moto[server]' in a virtual environment")
	}
	return path
}

// Moto serves a moto of the test's own until its end: an AWS for tests that knows nothing of pawl, so that a fake of ours is not
// judged by itself alone. What moto does not know, instead answers, and says that it did.
func Moto(t *testing.T, instead func(w http.ResponseWriter, r *http.Request, body []byte) bool) string {
	t.Helper()
	path := motoPath(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	require.NoError(t, listener.Close())
	log, err := os.Create(filepath.Join(t.TempDir(), "moto.log"))
	require.NoError(t, err)
	server := exec.Command(path, "-H", "127.0.0.1", "-p", port)
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = log.Close()
	})
	require.Eventually(t, func() bool {
		r, err := http.Get("http://" + address + "/moto-api/data.json")
		if err == nil {
			_ = r.Body.Close()
		}
		return err == nil
	}, time.Minute, 50*time.Millisecond, "moto_server does not answer")
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !instead(w, r, body) {
			r.Body = io.NopCloser(bytes.NewReader(body))
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front.URL
}
