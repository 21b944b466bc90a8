// Package config reads cluster definitions: one YAML file for each cluster, on the worker's side.
//
// Rule: a definition is checked whole when it is read. What is wrong is said in one line that names the file, the
// field, what was wanted and the remedy. Keys and kubeconfigs are named by file and are not read here.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/eks"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Cluster is one cluster's definition. docs/reference.md describes every field.
type Cluster struct {
	Name string `json:"name"`
	// TaskQueue is that of the workers beside the cluster. Empty: that of the workflows.
	TaskQueue  string   `json:"taskQueue"`
	Provider   string   `json:"provider"`
	Kubeconfig string   `json:"kubeconfig"`
	SSH        SSH      `json:"ssh"`
	Packages   Packages `json:"packages"`
	Kubeadm    Kubeadm  `json:"kubeadm"`
	EKS        *EKS     `json:"eks"`
	Binaries   Binaries `json:"binaries"`
	Etcd       Etcd     `json:"etcd"`
	// ControlPlane says what happens between the control plane and the workers.
	ControlPlane ControlPlane    `json:"controlPlane"`
	Workers      Workers         `json:"workers"`
	Drain        Drain           `json:"drain"`
	Retry        Retry           `json:"retry"`
	Verify       Verify          `json:"verify"`
	Windows      upgrade.Windows `json:"windows"`

	Notifications []Notification `json:"notifications"`
	Hooks         []Hook         `json:"hooks"`
	Health        Health         `json:"health"`
}

// EKS says which cluster of EKS it is, and what is done there by request only.
type EKS struct {
	eks.Config
	// RestartFargate has the workloads whose pods are on Fargate nodes of an older minor restarted.
	RestartFargate bool `json:"restartFargate"`
}

// SSH says how the machines are reached.
type SSH struct {
	User    string `json:"user"`
	Port    int    `json:"port"`
	KeyFile string `json:"keyFile"` // empty: the SSH agent
	// CertificateFile is what an SSH CA signed for the key. Empty: KeyFile-cert.pub, where there is one.
	CertificateFile string          `json:"certificateFile"`
	KnownHostsFile  string          `json:"knownHostsFile"`
	Jump            Jumps           `json:"jump"`
	Hosts           map[string]Host `json:"hosts"` // by node name
}

// Host overrides how one machine is reached.
type Host struct {
	Address string `json:"address"` // in place of the node's InternalIP
	Port    int    `json:"port"`
	User    string `json:"user"`
}

// Packages says where Kubernetes packages come from.
type Packages struct {
	// Repository is the folder above those of the minors: <repository>/v1.37/deb/.
	Repository string `json:"repository"`
}

// Kubeadm are settings that every run of kubeadm gets.
type Kubeadm struct {
	IgnorePreflightErrors []string `json:"ignorePreflightErrors"`
}

// ControlPlane says what happens between the control plane and the workers.
type ControlPlane struct {
	Bake upgrade.Duration `json:"bake"`
}

// Drain says how pods are moved off nodes.
type Drain struct {
	Timeout upgrade.Duration `json:"timeout"`
}

// Retry says how long a step that gets no answer is tried again.
type Retry struct {
	Timeout upgrade.Duration `json:"timeout"`
}

// Verify says how long a condition may take to become true.
type Verify struct {
	Timeout upgrade.Duration `json:"timeout"`
}

// What the fields may be, and what they are when nothing is said.
const (
	ProviderKubeadm  = "kubeadm"
	ProviderEKS      = upgrade.ProviderEKS
	ProviderBinaries = upgrade.ProviderBinaries

	// defaultRepository is the community's own. Source: https://kubernetes.io/blog/2023/08/15/pkgs-k8s-io-introduction/
	defaultRepository   = "https://pkgs.k8s.io/core:/stable:"
	defaultDrainTimeout = 30 * time.Minute
)

// clusterName is a DNS label, so that a name can stand in workflow ids and file names alike.
var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// taskQueue keeps names easy to type. Temporal's own, of sticky queues and of partitions, begin with a slash.
var taskQueue = regexp.MustCompile(`^[A-Za-z0-9][-._A-Za-z0-9]{0,99}$`)

const extension = ".yaml"

// Load reads the definition of a cluster from dir/<name>.yaml.
func Load(dir, name string) (*Cluster, error) {
	if !clusterName.MatchString(name) {
		return nil, fault.New(fault.InvalidInput, "find cluster", name, fmt.Sprintf("%q is not a cluster name; wanted lower case letters, digits and dashes", name), "")
	}
	file := filepath.Join(dir, name+extension)
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, fault.New(fault.NotFound, "find cluster", name, fmt.Sprintf("the worker has no %s (it knows: %s)", file, known(dir)), "check the name, or add the file")
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, "read", file, err, "")
	}
	c, err := parse(text)
	if err == nil {
		err = c.complete(name, dir)
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, "read", file, err, "docs/reference.md describes every field")
	}
	return c, nil
}

// bareRepository finds a repository that is written without quotes and ends in a colon, as the community's own does
// (https://pkgs.k8s.io/core:/stable:). YAML reads a colon at the end of a word as the start of a mapping, so the line
// would be refused, though everybody can see what it means.
var bareRepository = regexp.MustCompile(`(?m)(\brepository:[ \t]+)([^\s"'{},]+:)([ \t,}]|\r?$)`)

// parse reads a definition.
func parse(text []byte) (*Cluster, error) {
	var c Cluster
	text = bareRepository.ReplaceAll(text, []byte(`${1}"${2}"${3}`))
	if err := decode(text, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// complete fills in defaults, makes paths absolute and checks the whole.
func (c *Cluster) complete(name, dir string) error {
	orString(&c.Name, name)
	orString(&c.Provider, ProviderKubeadm)
	if c.Provider == ProviderEKS {
		if c.EKS == nil {
			c.EKS = &EKS{}
		}
		orString(&c.EKS.Name, name)
	}
	orString(&c.Packages.Repository, defaultRepository)
	c.completeWorkers(dir)
	orDuration(&c.Drain.Timeout, defaultDrainTimeout)
	orDuration(&c.Retry.Timeout, upgrade.DefaultRetryTimeout)
	orDuration(&c.Verify.Timeout, upgrade.DefaultVerifyTimeout)
	absolute(dir, &c.Kubeconfig)
	c.completeSSH(dir)
	c.Packages.Repository = strings.TrimRight(c.Packages.Repository, "/")
	c.completeAdditions(dir)

	switch {
	case c.Name != name:
		return fmt.Errorf("name: is %q, wanted %q like the file", c.Name, name)
	case c.Provider != ProviderKubeadm && c.Provider != ProviderEKS && c.Provider != ProviderBinaries:
		return fmt.Errorf("provider: is %q, wanted %s, %s or %s", c.Provider, ProviderKubeadm, ProviderEKS, ProviderBinaries)
	case c.TaskQueue != "" && !taskQueue.MatchString(c.TaskQueue):
		return fmt.Errorf("taskQueue: is %q, wanted a name of letters, digits, dots, dashes and underscores", c.TaskQueue)
	case c.Provider != ProviderEKS && c.EKS != nil:
		return fmt.Errorf("eks: is for provider: %s", ProviderEKS)
	case c.ControlPlane.Bake < 0:
		return fmt.Errorf("controlPlane.bake: is %s, wanted a positive duration", c.ControlPlane.Bake)
	case c.Kubeconfig == "":
		return fmt.Errorf("kubeconfig: is missing, wanted the path of a file")
	case c.SSH.KnownHostsFile == "" && c.Provider != ProviderEKS:
		return fmt.Errorf("ssh.knownHostsFile: is missing, wanted the path of a file; host keys are always checked")
	case c.Drain.Timeout < 0:
		return fmt.Errorf("drain.timeout: is %s, wanted a positive duration", c.Drain.Timeout)
	case c.Retry.Timeout < 0:
		return fmt.Errorf("retry.timeout: is %s, wanted a positive duration", c.Retry.Timeout)
	case c.Verify.Timeout < 0:
		return fmt.Errorf("verify.timeout: is %s, wanted a positive duration", c.Verify.Timeout)
	case c.Verify.Timeout > c.Retry.Timeout: // or it would be cut off before it can say what is not so
		return fmt.Errorf("verify.timeout: is %s, wanted at most retry.timeout (%s)", c.Verify.Timeout, c.Retry.Timeout)
	case !strings.Contains(c.Packages.Repository, "://"):
		return fmt.Errorf("packages.repository: is %q, wanted a URL like %s", c.Packages.Repository, defaultRepository)
	}
	if c.EKS != nil {
		if err := c.EKS.Validate(); err != nil {
			return fmt.Errorf("eks: %w", err)
		}
	}
	if err := c.checkSSH(); err != nil {
		return err
	}
	if err := c.checkBinaries(); err != nil {
		return err
	}
	if err := c.checkWorkers(); err != nil {
		return err
	}
	if _, err := c.Windows.Calendar(); err != nil {
		return err
	}
	return c.checkAdditions()
}

func orString(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func orDuration(field *upgrade.Duration, value time.Duration) {
	*field = upgrade.Duration(field.Or(value))
}

// Settings are the parts that shape a plan.
func (c *Cluster) Settings() upgrade.Settings {
	s := upgrade.Settings{
		Provider:              c.provider(),
		Bake:                  c.ControlPlane.Bake,
		Binaries:              c.binarySettings(),
		Repository:            c.Packages.Repository,
		IgnorePreflightErrors: c.Kubeadm.IgnorePreflightErrors,
		MaxUnavailable:        c.Workers.MaxUnavailable,
		Pools:                 c.poolSettings(),
		WorkerPath:            c.Workers.Path,
		Drain:                 upgrade.Drain{Timeout: c.Drain.Timeout},
		Retry:                 upgrade.Retry{Timeout: c.Retry.Timeout},
		Verify:                upgrade.Verify{Timeout: c.Verify.Timeout},
		Windows:               c.Windows,
	}
	if c.EKS != nil {
		s.RestartFargate = c.EKS.RestartFargate
	}
	c.addTo(&s)
	return s
}

// provider is what a plan says of it; nothing for kubeadm, as in plans from before there were others.
func (c *Cluster) provider() string {
	if c.Provider == ProviderKubeadm {
		return ""
	}
	return c.Provider
}

// Names lists the clusters that dir defines, in order.
func Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, "read clusters", dir, err, "name the folder of cluster definitions with --clusters")
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), extension); ok && !e.IsDir() && clusterName.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func known(dir string) string {
	names, err := Names(dir)
	if err != nil || len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
