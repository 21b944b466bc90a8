package kube

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	bootstrap "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/cluster-bootstrap/token/util"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	// joinLife is how long a token is good for when nobody gets to delete it: the cluster's token cleaner then does.
	joinLife = 2 * time.Hour
	// nodeGroup is the group by whose rights kubeadm join works.
	nodeGroup = "system:bootstrappers:kubeadm:default-node-token"
	joinLook  = 500 * time.Millisecond
)

// Join makes a bootstrap token for the key, or finds the one that was made for it, and returns what a machine needs to join
// once the cluster's signer has published it for the token.
// Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
func (c *Cluster) Join(ctx context.Context, key string) (upgrade.Join, error) {
	const op = "make a bootstrap token in"
	secrets := c.client.CoreV1().Secrets(metav1.NamespaceSystem)
	bound, cancel := bounded(ctx)
	defer cancel()
	fresh, err := bootstrapToken(key)
	if err != nil {
		return upgrade.Join{}, err
	}
	s, err := secrets.Create(bound, fresh, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		s, err = secrets.Get(bound, fresh.Name, metav1.GetOptions{})
	}
	if err != nil {
		return upgrade.Join{}, c.classify(op, c.name, err)
	}
	id := string(s.Data[bootstrap.BootstrapTokenIDKey])
	for {
		info, err := c.clusterInfo(ctx)
		if err != nil {
			return upgrade.Join{}, err
		}
		if info.Data[bootstrap.JWSSignatureKeyPrefix+id] != "" {
			join, err := parseClusterInfo(info.Data[bootstrap.KubeConfigKey])
			join.Token = util.TokenFromIDAndSecret(id, string(s.Data[bootstrap.BootstrapTokenSecretKey]))
			return join, fault.Wrap(fault.PreflightFailed, "read cluster-info of", c.name, err, "kubeadm keeps it in kube-public; see kubeadm init phase bootstrap-token")
		}
		select {
		case <-ctx.Done():
			return upgrade.Join{}, fault.Wrap(fault.Unreachable, op, c.name, ctx.Err(), "the controller-manager's bootstrap signer has not signed it")
		case <-time.After(joinLook):
		}
	}
}

// EndJoin makes the key's token useless.
func (c *Cluster) EndJoin(ctx context.Context, key string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := c.client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, tokenSecret(key), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return c.classify("delete the bootstrap token in", c.name, err)
}

// tokenID is the public half of the key's token: the same at every attempt, so that the token is found again.
func tokenID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:3])
}

func tokenSecret(key string) string { return util.BootstrapTokenSecretName(tokenID(key)) }

func bootstrapToken(key string) (*corev1.Secret, error) {
	token, err := util.GenerateBootstrapToken()
	if err != nil {
		return nil, fmt.Errorf("make a bootstrap token: %w", err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: tokenSecret(key), Namespace: metav1.NamespaceSystem},
		Type:       bootstrap.SecretTypeBootstrapToken,
		StringData: map[string]string{
			bootstrap.BootstrapTokenIDKey:               tokenID(key),
			bootstrap.BootstrapTokenSecretKey:           token[len(token)-16:],
			bootstrap.BootstrapTokenExpirationKey:       time.Now().Add(joinLife).UTC().Format(time.RFC3339),
			bootstrap.BootstrapTokenUsageAuthentication: "true",
			bootstrap.BootstrapTokenUsageSigningKey:     "true",
			bootstrap.BootstrapTokenExtraGroupsKey:      nodeGroup,
			bootstrap.BootstrapTokenDescriptionKey:      "pawl: one new node",
		},
	}, nil
}

func (c *Cluster) clusterInfo(ctx context.Context) (*corev1.ConfigMap, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	info, err := c.client.CoreV1().ConfigMaps(metav1.NamespacePublic).Get(ctx, bootstrap.ConfigMapClusterInfo, metav1.GetOptions{})
	return info, c.classify("read cluster-info of", c.name, err)
}

// parseClusterInfo reads the address of the API and the pin of its CA.
func parseClusterInfo(kubeconfig string) (upgrade.Join, error) {
	config, err := clientcmd.Load([]byte(kubeconfig))
	if err != nil {
		return upgrade.Join{}, err
	}
	for _, cluster := range config.Clusters {
		server, err := url.Parse(cluster.Server)
		if err != nil {
			return upgrade.Join{}, err
		}
		block, _ := pem.Decode(cluster.CertificateAuthorityData)
		if block == nil {
			return upgrade.Join{}, fmt.Errorf("it holds no CA certificate")
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return upgrade.Join{}, err
		}
		pin := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
		return upgrade.Join{Endpoint: server.Host, CACertHash: "sha256:" + hex.EncodeToString(pin[:])}, nil
	}
	return upgrade.Join{}, fmt.Errorf("it names no cluster")
}
