package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// kubePrograms are the programs of Kubernetes, and what asks the kubelet.
var kubePrograms = map[string]program{"kubeadm": kubeadm, "kubelet": kubeletProgram, "kubectl": kubectl, "curl": curl}

// run of kubeadm. Messages and order are those of kubeadm 1.37 (cmd/kubeadm/app).
type kubeadmRun struct {
	*process
	version upgrade.Version // its own
	api     kubernetes.Interface
	opts    *opts
	ignored []string // names of checks, in lower case
}

// kubeadmError is an error with the exit code that kubeadm has for it up to 1.33; since 1.34 all are 1.
type kubeadmError struct {
	code int
	error
}

func kubeadm(p *process) int {
	v, err := p.m.binaryVersion("kubeadm")
	if err != nil {
		return 126
	}
	k := &kubeadmRun{process: p, version: v}
	o, code := p.options("kubeadm", optSpec{short: "o:yfv:", exit: 1,
		long: "output=,yes,force,dry-run?,ignore-preflight-errors=,kubernetes-version=,image-repository=,certificate-renewal?,etcd-upgrade?,kubeconfig=,v="})
	if o == nil {
		return code
	}
	k.opts = o
	for _, list := range o.set["ignore-preflight-errors"] {
		k.ignored = append(k.ignored, strings.Split(strings.ToLower(list), ",")...)
	}
	switch command := strings.Join(o.args, " "); {
	case command == "version":
		err = k.printVersion()
	case command == "config images list", command == "config images pull":
		err = k.images(o.args[2])
	case strings.HasPrefix(command, "upgrade plan"):
		err = k.plan(o.args[2:])
	case strings.HasPrefix(command, "upgrade apply"):
		err = k.apply(o.args[2:])
	case command == "upgrade node":
		err = k.node()
	default:
		return p.fail(1, "error: unknown command %q for \"kubeadm\"", command)
	}
	if err == nil || p.ctx.Err() != nil {
		return 0
	}
	fmt.Fprintf(p.err, "error: %v\nTo see the stack trace of this error execute with --v=5 or higher\n", err)
	var coded kubeadmError
	if !v.AtLeastMinor(1, 34) && errors.As(err, &coded) {
		return coded.code
	}
	return 1
}

func (k *kubeadmRun) printVersion() error {
	switch format := k.opts.value("o", "output"); format {
	case "short":
		k.printf("%s\n", k.version)
	case "json":
		var major, minor string
		if parts := strings.Split(k.version.Number(), "."); len(parts) > 1 {
			major, minor = parts[0], parts[1]
		}
		k.printf("{\n  \"clientVersion\": {\n    \"major\": %q,\n    \"minor\": %q,\n    \"gitVersion\": %q,\n    \"platform\": \"linux/amd64\"\n  }\n}\n", major, minor, k.version)
	case "":
		k.printf("kubeadm version: &version.Info{GitVersion:%q}\n", k.version)
	default:
		return errors.New("invalid output format: " + format)
	}
	return nil
}

// pulled is where the runtime keeps what it has.
const pulled = "/var/lib/containerd/images"

func (k *kubeadmRun) images(verb string) error {
	v := k.version
	if text := k.opts.value("kubernetes-version"); text != "" {
		var err error
		if v, err = upgrade.ParseVersion(text); err != nil {
			return fmt.Errorf("couldn't parse Kubernetes version %q: %w", text, err)
		}
	}
	for _, image := range Images(v) {
		if repository := k.opts.value("image-repository"); repository != "" {
			image = repository + strings.TrimPrefix(image, registry)
		}
		if verb == "list" {
			k.printf("%s\n", image)
			continue
		}
		if err := k.pull(image, v); err != nil {
			return fmt.Errorf("failed to pull image %q: %w", image, err)
		}
		k.printf("[config/images] Pulled %s\n", image)
	}
	return nil
}

// pull brings an image that is not there yet.
func (k *kubeadmRun) pull(image string, v upgrade.Version) error {
	have, _ := k.readFile(pulled)
	if strings.Contains(string(have), image+"\n") {
		return nil
	}
	if !k.m.offersMinor(v.MinorString()) && v != k.m.opts.Version {
		return fmt.Errorf("failed to pull and unpack image %q: failed to resolve reference %q: %s: not found", image, image, image)
	}
	if !k.sleep(2 * time.Second) {
		return errPower
	}
	return k.appendFile(pulled, image+"\n")
}

// ask runs one question to the API.
func (k *kubeadmRun) ask(do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(k.ctx, 10*time.Second)
	defer cancel()
	return do(ctx)
}

// connect gets a client from a kubeconfig.
func (k *kubeadmRun) connect(file string) error {
	if text, err := k.readFile(file); err != nil {
		return fmt.Errorf("couldn't create a Kubernetes client from file %q: failed to load admin kubeconfig: open %[1]s: no such file or directory", file)
	} else if len(text) == 0 {
		return fmt.Errorf("couldn't create a Kubernetes client from file %q", file)
	}
	if k.m.opts.API != nil {
		k.api = k.m.opts.API()
	}
	if k.api == nil {
		return fmt.Errorf("failed to get config map: Get \"https://%s/api/v1/namespaces/kube-system/configmaps/kubeadm-config?timeout=10s\": dial tcp %[1]s: connect: connection refused", k.m.opts.Endpoint)
	}
	return nil
}

// clusterVersion is what kubeadm-config says the cluster is configured for.
func (k *kubeadmRun) clusterVersion() (upgrade.Version, error) {
	k.printf("[upgrade] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...\n" +
		"[upgrade] Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.\n")
	var text string
	// GetConfigMap is tried again for a minute (KubernetesAPICall of kubeadm's timeouts).
	err := k.poll(time.Minute, func(ctx context.Context) (bool, error) {
		cm, err := k.api.CoreV1().ConfigMaps("kube-system").Get(ctx, "kubeadm-config", metav1.GetOptions{})
		if err == nil {
			text = cm.Data["ClusterConfiguration"]
		}
		return err == nil, err
	})
	if err != nil {
		return upgrade.Version{}, fmt.Errorf("failed to get config map: %w", err)
	}
	var c struct {
		Version string `json:"kubernetesVersion"`
	}
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		return upgrade.Version{}, fmt.Errorf("failed to decode cluster configuration data: %w", err)
	}
	return upgrade.ParseVersion(c.Version)
}

// errTimeout is what waiting in vain gives, in the words of apimachinery's wait package.
var errTimeout = errors.New("context deadline exceeded")

// poll asks every half second of a real node's time until done, and returns the last error when the time is over.
func (k *kubeadmRun) poll(timeout time.Duration, done func(ctx context.Context) (bool, error)) error {
	deadline := time.Now().Add(k.m.patience(timeout))
	for {
		var ok bool
		err := k.ask(func(ctx context.Context) (err error) {
			ok, err = done(ctx)
			return err
		})
		if k.ctx.Err() != nil {
			return errPower
		}
		if ok {
			return nil
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = errTimeout
			}
			return err
		}
		if !k.sleep(max(500*time.Millisecond, time.Duration(float64(10*time.Millisecond)/k.m.opts.Pace))) {
			return errPower
		}
	}
}

// check is one preflight check.
type check struct {
	name string
	do   func() error
}

// preflight runs the checks and reports all that failed.
func (k *kubeadmRun) preflight(checks ...check) error {
	var failed strings.Builder
	for _, c := range checks {
		err := c.do()
		if k.ctx.Err() != nil {
			return errPower
		}
		switch {
		case err == nil:
		case k.ignores(c.name):
			fmt.Fprintf(k.err, "\t[WARNING %s]: %v\n", c.name, err)
		default:
			fmt.Fprintf(&failed, "\t[ERROR %s]: %v\n", c.name, err)
		}
	}
	if failed.Len() == 0 {
		return nil
	}
	_, _ = io.WriteString(k.err, "[preflight] Some fatal errors occurred:\n"+failed.String()+
		"[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`\n")
	return kubeadmError{2, errors.New("preflight checks failed")}
}

func (k *kubeadmRun) ignores(name string) bool {
	for _, ignored := range k.ignored {
		if ignored == "all" || ignored == strings.ToLower(name) {
			return true
		}
	}
	return false
}
