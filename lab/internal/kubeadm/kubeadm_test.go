package kubeadm

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/lab/internal/topology"
)

func TestSecretsHaveKubeadmsForm(t *testing.T) {
	c, err := NewCluster("v1.36.3", true)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`).MatchString(c.Token) {
		t.Errorf("token %q", c.Token)
	}
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(c.CertificateKey) {
		t.Errorf("certificate key %q", c.CertificateKey)
	}
}

func TestConfigurationsByRoleAndMachine(t *testing.T) {
	c := Cluster{Version: "v1.36.3", Token: "aaaaaa.bbbbbbbbbbbbbbbb", CertificateKey: "cc", CAHash: "sha256:dd"}
	v1 := c
	v1.CgroupV1 = true
	initV1, err1 := v1.Init("cp1")
	initV2, err2 := c.Init("cp1")
	joinCP, err3 := c.Join("cp2", "")
	joinW, err4 := v1.Join("w1", "a")
	external := c
	external.Etcd = []topology.Node{"cp1", "cp2"}
	initExternal, err6 := external.Init("cp1")
	c.Endpoint = "10.77.0.1:6443"
	joinElse, err5 := c.Join("w2", "")
	for _, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		name, text, part string
		want             bool
	}{
		{"init, version 1", initV1, "failCgroupV1: false", true},
		{"init, version 1", initV1, "ignorePreflightErrors: [SystemVerification]", true},
		{"init, version 2", initV2, "failCgroupV1", false},
		{"init, version 2", initV2, "ignorePreflightErrors", false},
		{"init", initV2, "advertiseAddress: 10.77.0.11, bindPort: 6443", true},
		{"init", initV2, "etcd:", false},
		{"init, external etcd", initExternal, "\netcd:\n  external:\n    endpoints: [https://10.77.0.11:2379, https://10.77.0.12:2379]\n", true},
		{"join of a control plane", joinCP, "certificateKey: cc", true},
		{"join of a control plane", joinCP, "advertiseAddress: 10.77.0.12", true},
		{"join of a worker", joinW, "controlPlane", false},
		{"join of a worker", joinW, "node-ip, value: 10.77.0.21", true},
		{"join of a worker", joinW, "node-labels, value: topology.kubernetes.io/zone=a", true},
		{"join of a worker", joinW, "apiServerEndpoint: k8s-api.lab:6443", true},
		{"join without a zone", joinCP, "node-labels", false},
		{"join by another endpoint", joinElse, "apiServerEndpoint: 10.77.0.1:6443", true},
	} {
		if strings.Contains(x.text, x.part) != x.want {
			t.Errorf("%s: contains %q is %t, want %t:\n%s", x.name, x.part, !x.want, x.want, x.text)
		}
	}
}

func TestWithServer(t *testing.T) {
	got := WithServer("clusters:\n- cluster:\n    server: https://k8s-api.lab:6443\n  name: lab\n", "https://10.77.0.1:6443")
	if want := "clusters:\n- cluster:\n    server: https://10.77.0.1:6443\n  name: lab\n"; got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestCAHashWantsACertificate(t *testing.T) {
	for _, conf := range []string{"", "certificate-authority-data: !!!", "certificate-authority-data: eA=="} {
		if got, err := CAHash(conf); err == nil {
			t.Errorf("CAHash(%q) = %q, want an error", conf, got)
		}
	}
}
