package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// servers are endpoints in front of a backend that names who asks.
func servers(t *testing.T, n int) (endpoints []*Endpoint, client *http.Client) {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	require.NoError(t, err)
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "crt"), filepath.Join(dir, "key")}
	require.NoError(t, os.WriteFile(files[0], certificate, 0o600))
	require.NoError(t, os.WriteFile(files[1], key, 0o600))
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/watch" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, r.Header.Get("Authorization"))
	}))
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	backend.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	backend.StartTLS()
	t.Cleanup(backend.Close)
	for range n {
		e, err := New(&rest.Config{Host: backend.URL, BearerToken: "not the client's", TLSClientConfig: rest.TLSClientConfig{CAFile: files[0]}}, files[0], files[1])
		require.NoError(t, err)
		t.Cleanup(e.Down)
		endpoints = append(endpoints, e)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return endpoints, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}, Timeout: 5 * time.Second}
}

func get(t *testing.T, client *http.Client, address, path string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "https://"+address+path, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer mine")
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func TestEndpointPassesOnAndSaysItsVersion(t *testing.T) {
	all, client := servers(t, 1)
	e := all[0]
	_, _, err := get(t, client, e.Address(), "/api")
	require.Error(t, err, "it is away at first")
	require.NoError(t, e.Up(upgrade.MustVersion("v1.36.3")))
	_, body, err := get(t, client, e.Address(), "/api")
	require.NoError(t, err)
	require.Equal(t, "Bearer mine", body, "the client's own credentials count")
	_, body, err = get(t, client, e.Address(), "/version")
	require.NoError(t, err)
	require.Contains(t, body, `"gitVersion":"v1.36.3"`)
}

func TestEndpointGoesDownWithItsConnections(t *testing.T) {
	all, client := servers(t, 1)
	e := all[0]
	require.NoError(t, e.Up(upgrade.MustVersion("v1.36.3")))
	ended := make(chan error, 1)
	go func() {
		_, _, err := get(t, client, e.Address(), "/watch")
		ended <- err
	}()
	time.Sleep(200 * time.Millisecond)
	e.Down()
	require.Error(t, <-ended)
	require.NoError(t, e.Up(upgrade.MustVersion("v1.37.2")), "it finds its address again")
	_, body, err := get(t, client, e.Address(), "/version")
	require.NoError(t, err)
	require.Contains(t, body, "v1.37.2")
	require.NoError(t, e.Block(true))
	require.NoError(t, e.Up(upgrade.MustVersion("v1.37.2")))
	_, _, err = get(t, client, e.Address(), "/version")
	require.Error(t, err, "what is blocked stays blocked")
	require.NoError(t, e.Block(false))
	_, _, err = get(t, client, e.Address(), "/version")
	require.NoError(t, err)
}

func TestBalancerPassesToThoseThatAreReady(t *testing.T) {
	all, client := servers(t, 2)
	b, err := Balance(all)
	require.NoError(t, err)
	defer b.Close()
	asked := func() string {
		client.CloseIdleConnections()
		_, body, err := get(t, client, b.Address(), "/version")
		if err != nil {
			return "nobody"
		}
		return body
	}
	require.Equal(t, "nobody", asked())
	require.NoError(t, all[0].Up(upgrade.MustVersion("v1.36.3")))
	require.NoError(t, all[1].Up(upgrade.MustVersion("v1.37.2")))
	all[1].Fail("test", "etcd")
	code, body, err := get(t, client, all[1].Address(), "/readyz")
	require.NoError(t, err)
	require.Equal(t, 500, code)
	require.Contains(t, body, "[-]etcd failed")
	for range 4 {
		require.Contains(t, asked(), "v1.36.3")
	}
	all[1].Fail("another", "")
	require.False(t, all[1].Ready(), "each cause is ended by itself")
	all[1].Fail("test", "")
	all[0].Down()
	for range 4 {
		require.Contains(t, asked(), "v1.37.2")
	}
}
