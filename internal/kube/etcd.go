package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// etcdctl runs the etcdctl of a node's etcd pod, with the certificates that kubeadm gave the pod.
func (c *Cluster) etcdctl(ctx context.Context, node string, args ...string) (string, error) {
	const pki = "/etc/kubernetes/pki/etcd/"
	argv := append([]string{"etcdctl", "--endpoints=https://127.0.0.1:2379",
		"--cacert=" + pki + "ca.crt", "--cert=" + pki + "server.crt", "--key=" + pki + "server.key"}, args...)
	return c.exec(ctx, "etcd-"+node, "etcd", argv)
}

// SnapshotEtcd lets the node's etcd member write a snapshot to file and reads it back.
func (c *Cluster) SnapshotEtcd(ctx context.Context, node, file string) (upgrade.Snapshot, error) {
	const op = "take an etcd snapshot on"
	if _, err := c.etcdctl(ctx, node, "snapshot", "save", file); err != nil {
		return upgrade.Snapshot{}, c.classify(op, node, err)
	}
	out, err := c.exec(ctx, "etcd-"+node, "etcd", []string{"etcdutl", "snapshot", "status", file, "--write-out=json"})
	if err != nil {
		return upgrade.Snapshot{}, c.classify("verify the etcd snapshot on", node, err)
	}
	var status struct {
		Hash      uint32 `json:"hash"`
		Revision  int64  `json:"revision"`
		TotalKey  int64  `json:"totalKey"`
		TotalSize int64  `json:"totalSize"`
	}
	if err := json.Unmarshal([]byte(strings.TrimSpace(out)), &status); err != nil {
		return upgrade.Snapshot{}, fault.New(fault.VerificationFailed, "verify the etcd snapshot on", node, fmt.Sprintf("etcdutl said %q", out), "")
	}
	if status.TotalKey == 0 {
		return upgrade.Snapshot{}, fault.New(fault.VerificationFailed, "verify the etcd snapshot on", node, "it holds no keys", "check the etcd member on that node")
	}
	return upgrade.Snapshot{Hash: status.Hash, Revision: status.Revision, Keys: status.TotalKey, Bytes: status.TotalSize}, nil
}

// exec runs a command in a container and returns its standard output. A command that fails returns both.
func (c *Cluster) exec(ctx context.Context, pod, container string, argv []string) (string, error) {
	request := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(metav1.NamespaceSystem).Name(pod).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{Container: container, Command: argv, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	spdy, err := remotecommand.NewSPDYExecutor(c.config, "POST", request.URL())
	if err != nil {
		return "", err
	}
	socket, err := remotecommand.NewWebSocketExecutor(c.config, "GET", request.URL().String())
	if err != nil {
		return "", err
	}
	executor, err := remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		return stdout.String(), fmt.Errorf("%s in pod %s: %w: %s", argv[0], pod, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
