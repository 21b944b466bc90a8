// Package controlplane runs a real Kubernetes control plane without machines under it: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler as plain processes on the loopback address, as an ordinary user.
//
// Rule: the processes are the real ones with real authentication and authorisation. What is switched off is what would
// need a real kubelet: the mounting of service account tokens.
package controlplane

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/pawl-dev/pawl/internal/sim/endpoint"
	"github.com/pawl-dev/pawl/internal/supervise"
)

// Program is the binary that holds all components; see sim/controlplane.
const Program = "pawl-sim-controlplane"

// ControlPlane is a control plane that runs.
type ControlPlane struct {
	// Address is host:port of the API server.
	Address string
	// Certificate and Key are PEM files for 127.0.0.1. Whatever else serves a part of the cluster may use them too:
	// Certificate holds the authority as well.
	Certificate, Key string
	// Token is the administrator's, UserToken that of user "pawl", who may nothing yet.
	Token, UserToken string

	dir         string
	egress      string
	apis        []string
	program     string
	etcdAddress string
	starter     *supervise.Starter
	running     []*process // in the order in which they were started
}

// NodeMonitorGracePeriod is how long a node may be silent before its Ready condition becomes unknown: shorter than
// Kubernetes' 50 s, since nobody wants to watch that.
const NodeMonitorGracePeriod = 16 * time.Second

// Start starts a control plane that keeps its files in dir, and returns when its API server is ready. egress is the
// socket of the proxy through which the API server reaches kubelets, apis are versions of APIs that are served beside the
// usual ones.
func Start(ctx context.Context, dir, egress string, apis ...string) (*ControlPlane, error) {
	program, err := supervise.Find(Program)
	if err != nil {
		return nil, fmt.Errorf("start control plane: %w; build it with \"make sim\"", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	c := &ControlPlane{dir: dir, egress: egress, apis: apis, program: program, Token: rand.Text(), UserToken: rand.Text(), starter: supervise.NewStarter()}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, fmt.Errorf("start control plane: %w; see the logs in %s", err, dir)
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context) error {
	addresses, err := freeAddresses(5)
	if err != nil {
		return err
	}
	c.etcdAddress, c.Address = addresses[0], addresses[2]
	if err := c.writeFiles(); err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		args []string
	}{
		{"etcd", c.etcdArgs(addresses[1])},
		{"kube-apiserver", c.apiServerArgs()},
	} {
		if err := c.run(p.name, p.args); err != nil {
			return err
		}
	}
	if err := c.awaitReady(ctx); err != nil {
		return err
	}
	return errors.Join(c.run("kube-controller-manager", c.controllerManagerArgs(addresses[3])), c.run("kube-scheduler", c.schedulerArgs(addresses[4])))
}

func (c *ControlPlane) etcdArgs(peer string) []string {
	return []string{
		"--data-dir=" + c.file("etcd"), "--listen-client-urls=http://" + c.etcdAddress, "--advertise-client-urls=http://" + c.etcdAddress,
		"--listen-peer-urls=http://" + peer, "--initial-advertise-peer-urls=http://" + peer, "--initial-cluster=default=http://" + peer,
		"--unsafe-no-fsync", "--log-level=warn",
	}
}

func (c *ControlPlane) apiServerArgs() []string {
	_, port, _ := net.SplitHostPort(c.Address)
	args := []string{
		"--etcd-servers=http://" + c.etcdAddress, "--secure-port=" + port, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", "--cert-dir=" + c.dir, "--tls-cert-file=" + c.Certificate, "--tls-private-key-file=" + c.Key,
		"--service-account-key-file=" + c.file("service-accounts.key"), "--service-account-signing-key-file=" + c.file("service-accounts.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--token-auth-file=" + c.file("tokens.csv"),
		"--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.96.0.0/16",
		"--kubelet-preferred-address-types=InternalIP", "--egress-selector-config-file=" + c.file("egress.yaml"),
		"--enable-bootstrap-token-auth",
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
	}
	for _, api := range c.apis {
		args = append(args, "--runtime-config="+api+"=true")
	}
	return args
}

func (c *ControlPlane) controllerManagerArgs(address string) []string {
	return append(c.clientArgs(address),
		"--service-account-private-key-file="+c.file("service-accounts.key"),
		"--flex-volume-plugin-dir="+c.file("volume-plugins"), // by default it makes a folder under /usr/libexec
		"--controllers=*,bootstrapsigner,tokencleaner",       // as kubeadm has it
		"--node-monitor-period=2s", "--node-monitor-grace-period="+NodeMonitorGracePeriod.String(),
	)
}

func (c *ControlPlane) schedulerArgs(address string) []string { return c.clientArgs(address) }

func (c *ControlPlane) clientArgs(address string) []string {
	_, port, _ := net.SplitHostPort(address)
	kubeconfig := c.file("admin.conf")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port=" + port, "--cert-dir=" + c.dir, "--kube-api-qps=200", "--kube-api-burst=400",
	}
}

// writeFiles makes keys, certificates, tokens and the components' kubeconfig.
func (c *ControlPlane) writeFiles() error {
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"})
	if err != nil {
		return err
	}
	accounts, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return err
	}
	c.Certificate, c.Key = c.file("serving.crt"), c.file("serving.key")
	tokens := c.Token + `,admin,admin,"system:masters"` + "\n" + c.UserToken + ",pawl,pawl\n"
	for name, content := range map[string]string{
		"serving.crt": string(certificate), "serving.key": string(key), "service-accounts.key": string(accounts), "tokens.csv": tokens,
		"egress.yaml": "apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections:\n- name: cluster\n  connection:\n" +
			"    proxyProtocol: HTTPConnect\n    transport:\n      uds: {udsName: " + c.egress + "}\n",
	} {
		if err := os.WriteFile(c.file(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return WriteKubeconfig(c.file("admin.conf"), "https://"+c.Address, certificate, c.Token)
}

func (c *ControlPlane) file(name string) string { return filepath.Join(c.dir, name) }

// Config is for clients that talk to the API server itself, as administrator.
func (c *ControlPlane) Config() *rest.Config {
	return &rest.Config{
		Host: "https://" + c.Address, BearerToken: c.Token, TLSClientConfig: rest.TLSClientConfig{CAFile: c.Certificate},
		QPS: 500, Burst: 1000,
	}
}

// awaitReady asks the API server until it is ready, or a process has died.
func (c *ControlPlane) awaitReady(ctx context.Context) error {
	const patience = 90 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		return err
	}
	for {
		_, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		if died := c.Died(); died != nil {
			return died
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready after %s: %w", patience, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Etcdctl runs the real etcdctl against the real etcd.
func (c *ControlPlane) Etcdctl(ctx context.Context, args ...string) (string, error) {
	return c.tool(ctx, append([]string{"etcdctl", "--endpoints=http://" + c.etcdAddress}, args...)...)
}

// Etcdutl runs the real etcdutl.
func (c *ControlPlane) Etcdutl(ctx context.Context, args ...string) (string, error) {
	return c.tool(ctx, append([]string{"etcdutl"}, args...)...)
}

// Stop ends all processes and waits for their end.
func (c *ControlPlane) Stop() {
	// The last ones first: nobody then complains of one that is gone.
	for i := len(c.running) - 1; i >= 0; i-- {
		c.running[i].stop()
	}
	c.running = nil
}

// Died says which process has ended by itself and why, or nil.
func (c *ControlPlane) Died() error {
	for _, p := range c.running {
		if p.over() {
			return p.died()
		}
	}
	return nil
}

// freeAddresses finds addresses for n servers.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		address, err := endpoint.FreeAddress()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}
