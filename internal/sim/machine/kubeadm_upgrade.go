package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Label and annotation that kubeadm looks at.
const (
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	hashAnnotation    = "kubernetes.io/config.hash"
)

// upgradeManifests is how long kubeadm waits for one component (timeouts.upgradeManifests of UpgradeConfiguration).
const upgradeManifests = 5 * time.Minute

// apply is kubeadm upgrade apply.
func (k *kubeadmRun) apply(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("missing one or more required arguments. Required arguments: [version]")
	}
	v, err := upgrade.ParseVersion(args[0])
	if err != nil {
		return fmt.Errorf("couldn't parse Kubernetes version %q: %w", args[0], err)
	}
	if err := k.connect(adminConf); err != nil {
		return err
	}
	if _, err := k.clusterVersion(); err != nil {
		return err
	}
	if err := k.applyPreflight(v); err != nil {
		return fmt.Errorf("error execution phase preflight: %w", err)
	}
	if k.dryRun() {
		k.printf("[dryrun] Would pull the required images (like 'kubeadm config images pull')\n[dryrun] Would upgrade your static Pod-hosted control plane to version %q\n"+
			"[upgrade/successful] Finished dryrunning successfully!\n", v)
		return nil
	}
	if !k.at("kubeadm: preflight passed") {
		return errPower
	}
	k.printf("[upgrade/control-plane] Upgrading your static Pod-hosted control plane to version %q (timeout: %v)...\n", v, upgradeManifests)
	if err := k.staticPods(v); err != nil {
		return fmt.Errorf("error execution phase control-plane: couldn't complete the static pod upgrade: %w", err)
	}
	k.printf("[upgrade/control-plane] The control plane instance for this node was successfully upgraded!\n")
	if err := k.uploadConfig(v); err != nil {
		return fmt.Errorf("error execution phase upload-config: %w", err)
	}
	if !k.at("kubeadm: configuration uploaded") {
		return errPower
	}
	k.printf("[upgrade/kubeconfig] The kubeconfig files for this node were successfully upgraded!\n")
	if err := k.kubeletConfig(v); err != nil {
		return fmt.Errorf("error execution phase kubelet-config: %w", err)
	}
	k.printf("[upgrade/bootstrap-token] Configuring bootstrap token and cluster-info RBAC rules\n")
	if err := k.addons(v, true); err != nil {
		return fmt.Errorf("error execution phase addon: %w", err)
	}
	k.printf("\n[upgrade] SUCCESS! A control plane node of your cluster was upgraded to %q.\n\n[upgrade] Now please proceed with upgrading the rest of the nodes by following the right order.\n", v)
	return nil
}

func (k *kubeadmRun) dryRun() bool {
	return k.opts.has("dry-run") && k.opts.value("dry-run") != "false"
}

func (k *kubeadmRun) applyPreflight(v upgrade.Version) error {
	k.printf("[upgrade/preflight] Running preflight checks\n")
	if err := k.rootOnly(); err != nil {
		return err
	}
	if !k.sleep(4 * time.Second) {
		return errPower
	}
	if err := k.health(); err != nil {
		return err
	}
	if err := k.versionPolicies(v); err != nil {
		return err
	}
	if !k.opts.has("yes", "y", "force") {
		k.printf("[upgrade] Are you sure you want to proceed? [y/N]: ")
		answer := bufio.NewScanner(k.in)
		answer.Scan()
		if text := strings.ToLower(answer.Text()); text != "y" && text != "yes" {
			return errors.New("won't proceed; the user didn't answer (Y|y) in order to continue")
		}
	}
	if k.dryRun() {
		return nil
	}
	return k.pullAll(v)
}

func (k *kubeadmRun) rootOnly() error {
	return k.preflight(check{"IsPrivilegedUser", func() error {
		if k.user != "root" {
			return errors.New("user is not running as root")
		}
		return nil
	}}, check{"SystemVerification", func() error {
		if k.m.opts.CgroupV1 && k.version.AtLeastMinor(1, 35) {
			return errors.New("cgroups v1 support is deprecated and will be removed in a future release. Please migrate to cgroups v2. " +
				"To explicitly enable cgroups v1 support for kubelet v1.35 or newer, you must set the kubelet configuration option 'FailCgroupV1' to 'false'. " +
				"You must also explicitly skip this validation. For more information, see https://git.k8s.io/enhancements/keps/sig-node/5573-remove-cgroup-v1")
		}
		return nil
	}})
}

func (k *kubeadmRun) pullAll(v upgrade.Version) error {
	k.printf("[upgrade/preflight] Pulling images required for setting up a Kubernetes cluster\n" +
		"[upgrade/preflight] This might take a minute or two, depending on the speed of your internet connection\n" +
		"[upgrade/preflight] You can also perform this action beforehand using 'kubeadm config images pull'\n")
	return k.preflight(check{"ImagePull", func() error {
		for _, image := range Images(v) {
			if err := k.pull(image, v); err != nil {
				return fmt.Errorf("failed to pull image %s: %w", image, err)
			}
		}
		return nil
	}})
}

// health are the checks of the cluster, which `upgrade plan` makes, too.
func (k *kubeadmRun) health() error {
	k.printf("[upgrade] Running cluster health checks\n")
	return k.preflight(
		check{"CreateJob", k.createJob},
		check{"ControlPlaneNodesReady", func() error {
			var notReady []string
			err := k.ask(func(ctx context.Context) error {
				nodes, err := k.api.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: controlPlaneLabel})
				if err != nil {
					return fmt.Errorf("could not list nodes labeled with %q: %w", controlPlaneLabel, err)
				}
				for _, node := range nodes.Items {
					for _, c := range node.Status.Conditions {
						if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
							notReady = append(notReady, node.Name)
						}
					}
				}
				return nil
			})
			if err == nil && len(notReady) > 0 {
				err = fmt.Errorf("there are NotReady control-planes in the cluster: %v", notReady)
			}
			return err
		}},
		check{"StaticPodManifest", func() error {
			var missing []string
			for _, component := range upgrade.ControlPlaneComponents {
				if !k.exists(manifestPath(component)) {
					missing = append(missing, manifestPath(component))
				}
			}
			if len(missing) > 0 {
				return fmt.Errorf("manifest files not found: %v", missing)
			}
			return nil
		}},
	)
}

// createJob proves that the cluster runs pods: a Job with the pause image must complete within a minute, 15 s up to 1.35.
func (k *kubeadmRun) createJob() error {
	timeout := time.Minute
	if !k.version.AtLeastMinor(1, 36) {
		timeout = 15 * time.Second
	}
	schedulable := false
	if err := k.ask(func(ctx context.Context) error {
		nodes, err := k.api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err == nil {
			schedulable = slices.ContainsFunc(nodes.Items, func(n corev1.Node) bool { return !n.Spec.Unschedulable })
		}
		return err
	}); err != nil {
		return fmt.Errorf("could not check if there is at least one Node that can schedule a test Pod: %w", err)
	}
	if !schedulable {
		return nil
	}
	name := fmt.Sprintf("upgrade-health-check-%d", time.Now().UTC().UnixMilli())
	var none, seconds, user = int32(0), int32(timeout.Seconds()) + 5, int64(999)
	deadline, yes := int64(seconds), true
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system"}, Spec: batchv1.JobSpec{
		BackoffLimit: &none, TTLSecondsAfterFinished: &seconds, ActiveDeadlineSeconds: &deadline,
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy:   corev1.RestartPolicyNever,
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &user, RunAsNonRoot: &yes},
			Tolerations:     []corev1.Toleration{{Key: controlPlaneLabel, Effect: corev1.TaintEffectNoSchedule}},
			Containers:      []corev1.Container{{Name: "upgrade-health-check", Image: registry + "/pause:" + imagesOf(k.version).pause, Args: []string{"-v"}}},
		}},
	}}
	if err := k.poll(timeout, func(ctx context.Context) (bool, error) {
		_, err := k.api.BatchV1().Jobs("kube-system").Create(ctx, job, metav1.CreateOptions{})
		return err == nil, err
	}); err != nil {
		return fmt.Errorf("could not create Job %q in the namespace %q: %w", name, "kube-system", err)
	}
	err := k.poll(timeout, func(ctx context.Context) (bool, error) {
		job, err := k.api.BatchV1().Jobs("kube-system").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, c := range job.Status.Conditions {
			if c.Type == batchv1.JobComplete {
				return true, nil
			}
		}
		return false, fmt.Errorf("no condition of type %v", batchv1.JobComplete)
	})
	if err != nil {
		return fmt.Errorf("Job %q in the namespace %q did not complete in %v: %w", name, "kube-system", timeout, err) //nolint:staticcheck // kubeadm's words
	}
	return nil
}

// versionPolicies are kubeadm's rules on versions (phases/upgrade/policy.go).
func (k *kubeadmRun) versionPolicies(v upgrade.Version) error {
	k.printf("[upgrade/preflight] You have chosen to upgrade the cluster version to %q\n", v)
	var mandatory, skippable []string
	var cluster upgrade.Version
	if err := k.ask(func(context.Context) error {
		info, err := k.api.Discovery().ServerVersion()
		if err != nil {
			return err
		}
		cluster, err = upgrade.ParseVersion(info.GitVersion)
		return err
	}); err != nil {
		return fmt.Errorf("the version argument is invalid due to these fatal errors:\n\n\t- Unable to fetch cluster version: %w\n\nPlease fix the misalignments highlighted above and try upgrading again", err)
	}
	k.printf("[upgrade/versions] Cluster version: %s\n[upgrade/versions] kubeadm version: %s\n", strings.TrimPrefix(cluster.String(), "v"), k.version)
	if cluster.MinorsBehind(v) > 1 {
		mandatory = append(mandatory, fmt.Sprintf("Specified version to upgrade to %q is too high; kubeadm can upgrade only 1 minor version at a time", v))
	}
	if cluster.MinorsBehind(v) < -1 {
		mandatory = append(mandatory, fmt.Sprintf("Specified version to downgrade to %q is too low; kubeadm can downgrade only 1 minor version at a time", v))
	}
	switch behind := k.version.MinorsBehind(v); {
	case behind > 0:
		mandatory = append(mandatory, fmt.Sprintf("Specified version to upgrade to %q is at least one minor release higher than the kubeadm minor release (%d > %d). Such an upgrade is not supported",
			v, minorNumber(v), minorNumber(k.version)))
	case k.version.Less(v):
		skippable = append(skippable, fmt.Sprintf("Specified version to upgrade to %q is higher than the kubeadm version %q. Upgrade kubeadm first using the tool you used to install kubeadm", v, k.version))
	case behind < 0:
		skippable = append(skippable, fmt.Sprintf("Kubeadm version %s can only be used to upgrade to Kubernetes version %s", k.version, strings.TrimPrefix(k.version.MinorString(), "v")))
	}
	if old := k.oldKubelets(v); len(old) > 0 {
		skippable = append(skippable, fmt.Sprintf("There are kubelets in this cluster that are too old that have these versions %v", old))
	}
	list := func(all []string) string {
		var text strings.Builder
		for _, line := range all {
			text.WriteString("\t- " + line + "\n")
		}
		return text.String()
	}
	switch {
	case len(mandatory) > 0:
		return fmt.Errorf("the version argument is invalid due to these fatal errors:\n\n%v\nPlease fix the misalignments highlighted above and try upgrading again", list(mandatory))
	case len(skippable) > 0 && !k.opts.has("force"):
		return fmt.Errorf("the version argument is invalid due to these errors:\n\n%v\nCan be bypassed if you pass the --force flag", list(skippable))
	case len(skippable) > 0:
		k.printf("[upgrade/preflight] Found %d potential version compatibility errors but skipping since the --force flag is set: \n\n%v", len(skippable), list(skippable))
	}
	return nil
}

func minorNumber(v upgrade.Version) int { return upgrade.MustVersion("v1.0.0").MinorsBehind(v) }

// oldKubelets are the kubelets' versions that would be more than three minors older than v (one before kubeadm 1.29).
func (k *kubeadmRun) oldKubelets(v upgrade.Version) []string {
	most := 3
	if !k.version.AtLeastMinor(1, 29) {
		most = 1
	}
	var old []string
	_ = k.ask(func(ctx context.Context) error {
		nodes, err := k.api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, node := range nodes.Items {
			text := node.Status.NodeInfo.KubeletVersion
			if have, err := upgrade.ParseVersion(text); err == nil && have.MinorsBehind(v) > most && !slices.Contains(old, text) {
				old = append(old, text)
			}
		}
		return nil
	})
	return old
}

// node is kubeadm upgrade node. It takes a machine for a control plane when kube-apiserver's manifest is there, and for a
// worker when it is not, whatever else there is (util/staticpod.IsControlPlaneNode).
func (k *kubeadmRun) node() error {
	controlPlane := k.exists(manifestPath(upgrade.APIServer))
	kubeconfig := kubeletConf
	if controlPlane {
		kubeconfig = adminConf
	}
	if err := k.connect(kubeconfig); err != nil {
		return err
	}
	v, err := k.clusterVersion()
	if err != nil {
		return fmt.Errorf("unable to fetch the kubeadm-config ConfigMap: %w", err)
	}
	if v.MinorsBehind(k.version) > 1 {
		return fmt.Errorf("unable to fetch the kubeadm-config ConfigMap: this version of kubeadm only supports deploying clusters with the control plane version >= v1.%d.0. Current version: %s", minorNumber(k.version)-1, v)
	}
	k.printf("[upgrade/preflight] Running pre-flight checks\n")
	if err := k.rootOnly(); err != nil {
		return fmt.Errorf("error execution phase preflight: %w", err)
	}
	if !controlPlane {
		k.printf("[upgrade/preflight] Skipping prepull. Not a control plane node.\n[upgrade/control-plane] Skipping phase. Not a control plane node.\n[upgrade/kubeconfig] Skipping phase. Not a control plane node.\n")
		if !k.sleep(400 * time.Millisecond) {
			return errPower
		}
		if err := k.kubeletConfig(v); err != nil {
			return fmt.Errorf("error execution phase kubelet-config: %w", err)
		}
		return k.addons(v, false)
	}
	if !k.sleep(2 * time.Second) {
		return errPower
	}
	if err := k.pullAll(v); err != nil {
		return fmt.Errorf("error execution phase preflight: %w", err)
	}
	if !k.at("kubeadm: preflight passed") {
		return errPower
	}
	k.printf("[upgrade/control-plane] Upgrading your Static Pod-hosted control plane instance to version %q...\n", v)
	if err := k.staticPods(v); err != nil {
		return fmt.Errorf("error execution phase control-plane: couldn't complete the static pod upgrade: %w", err)
	}
	k.printf("[upgrade/control-plane] The control plane instance for this node was successfully upgraded!\n[upgrade/kubeconfig] The kubeconfig files for this node were successfully upgraded!\n")
	if err := k.kubeletConfig(v); err != nil {
		return fmt.Errorf("error execution phase kubelet-config: %w", err)
	}
	if err := k.addons(v, true); err != nil {
		return fmt.Errorf("error execution phase addon: %w", err)
	}
	return nil
}

// podsRun is one replacement of the static pods.
type podsRun struct {
	*kubeadmRun
	to                       upgrade.Version
	fresh, backup, etcdCopy  string
	touched                  []string // components whose manifests are rolled back when something goes wrong
	hashes                   map[string]string
	apiServerManifestChanges bool
}

// staticPods replaces the manifests one after another and waits for each pod (phases/upgrade/staticpods.go).
func (k *kubeadmRun) staticPods(v upgrade.Version) error {
	r := &podsRun{kubeadmRun: k, to: v, hashes: map[string]string{}}
	if err := r.folders(); err != nil {
		return err
	}
	for _, component := range upgrade.ControlPlaneComponents {
		hash, err := r.hash(component)
		if err != nil {
			return err
		}
		r.hashes[component] = hash
	}
	k.printf("[upgrade/staticpods] Writing new Static Pod manifests to %q\n", r.fresh)
	for _, component := range upgrade.ControlPlaneComponents {
		if err := k.writeFile(r.fresh+"/"+component+".yaml", r.manifest(component), 0o600); err != nil {
			return fmt.Errorf("error creating init static pod manifest files: failed to create static pod manifest file for %q: %s", component, reason(err))
		}
	}
	r.apiServerManifestChanges = !r.same(upgrade.APIServer)
	if k.opts.value("etcd-upgrade") != "false" {
		if err := r.etcd(); err != nil {
			return err
		}
	}
	for _, component := range upgrade.ControlPlaneComponents {
		if err := r.component(component); err != nil {
			return err
		}
	}
	return k.removeAll(r.fresh)
}

// manifest is what this kubeadm writes: etcd's version is kubeadm's own choice.
func (r *podsRun) manifest(component string) []byte {
	v := r.to
	if component == "etcd" {
		v = r.version
	}
	return Manifest(component, v, r.m.opts.Name, r.m.opts.Endpoint)
}

// folders makes those for the new manifests and for the backups; the backups are never removed.
func (r *podsRun) folders() error {
	now := time.Now()
	stamp := func() string { return now.Format("2006-01-02-15-04-05") }
	for r.exists(kubeadmFolder + "/kubeadm-backup-manifests-" + stamp()) {
		now = now.Add(time.Second) // two runs within a second only happen at a fast pace
	}
	r.fresh = kubeadmFolder + fmt.Sprintf("/kubeadm-upgraded-manifests%d", now.UnixNano()%1e9)
	r.backup, r.etcdCopy = kubeadmFolder+"/kubeadm-backup-manifests-"+stamp(), kubeadmFolder+"/kubeadm-backup-etcd-"+stamp()
	for _, dir := range []string{r.fresh, r.backup, r.etcdCopy} {
		if err := r.mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("could not create timestamp directory: mkdir %s: %s", dir, strings.ToLower(reason(err)))
		}
	}
	return nil
}

// same reports whether a component's manifest is the new one already.
func (r *podsRun) same(component string) bool {
	now, err1 := r.readFile(manifestPath(component))
	next, err2 := r.readFile(r.fresh + "/" + component + ".yaml")
	return err1 == nil && err2 == nil && string(now) == string(next)
}

func (r *podsRun) etcd() error {
	if !r.exists(manifestPath("etcd")) {
		return errors.New("failed to retrieve the current etcd version: open /etc/kubernetes/manifests/etcd.yaml: no such file or directory")
	}
	if err := r.copyTree(etcdData, r.etcdCopy, true); err != nil {
		return fmt.Errorf("failed to back up etcd data, output: %q: exit status 1", "cp: "+err.Error())
	}
	if !r.sleep(2 * time.Second) {
		return errPower
	}
	hash, err := r.hash("etcd")
	if err != nil {
		return err
	}
	r.hashes["etcd"] = hash
	if err := r.writeFile(r.fresh+"/etcd.yaml", r.manifest("etcd"), 0o600); err != nil {
		return fmt.Errorf("error creating local etcd static pod manifest file: %s", reason(err))
	}
	if err := r.component("etcd"); err != nil {
		r.printf("[upgrade/etcd] Failed to upgrade etcd: %v\n[upgrade/etcd] Waiting for previous etcd to become available\n", err)
		return fmt.Errorf("fatal error when trying to upgrade the etcd cluster, rolled the state back to pre-upgrade state: %w", err)
	}
	r.printf("[upgrade/etcd] Waiting for etcd to become available\n")
	// etcd's health is asked for up to 10 times, every 15 s; the API server answers only with it.
	return r.poll(150*time.Second, func(context.Context) (bool, error) {
		_, err := r.api.Discovery().ServerVersion()
		return err == nil, err
	})
}

// component replaces one manifest by two renames: the old one out, the new one in. Between them there is none.
func (r *podsRun) component(component string) error {
	r.printf("[upgrade/staticpods] Preparing for %q upgrade\n", component)
	real, backup := manifestPath(component), r.backup+"/"+component+".yaml"
	if !r.exists(real) {
		return r.rollBack(component, fmt.Errorf("open %s: no such file or directory", real))
	}
	r.touched = append(r.touched, component)
	equal := r.same(component)
	if equal && (component != "etcd" || !r.apiServerManifestChanges) {
		r.printf("[upgrade/staticpods] Current and new manifests of %s are equal, skipping upgrade\n", component)
		return nil
	}
	if r.opts.value("certificate-renewal") != "false" {
		for _, certificate := range certificates[component] {
			r.printf("[upgrade/staticpods] Renewing %s certificate\n", certificate)
		}
	}
	if equal { // its certificates are new
		r.printf("[upgrade/staticpods] Restarting the %s static pod and backing up its manifest to %q\n", component, backup)
	} else {
		r.printf("[upgrade/staticpods] Moving new manifest to %q and backing up old manifest to %q\n", real, backup)
	}
	if err := r.rename(real, backup); err != nil {
		return r.rollBack(component, err)
	}
	if !r.at("kubeadm: manifest of " + component + " taken away") {
		return errPower
	}
	if err := r.rename(r.fresh+"/"+component+".yaml", real); err != nil {
		return r.rollBack(component, err)
	}
	if !r.at("kubeadm: manifest of " + component + " replaced") {
		return errPower
	}
	r.printf("[upgrade/staticpods] Waiting for the kubelet to restart the component\n[upgrade/staticpods] This can take up to %v\n", upgradeManifests)
	if !equal {
		if err := r.awaitHash(component); err != nil {
			return r.rollBack(component, err)
		}
	}
	if err := r.awaitRunning(component); err != nil {
		return r.rollBack(component, err)
	}
	r.printf("[upgrade/staticpods] Component %q upgraded successfully!\n", component)
	return nil
}

var certificates = map[string][]string{
	"etcd":                    {"etcd-server", "etcd-peer", "etcd-healthcheck-client"},
	upgrade.APIServer:         {"apiserver", "apiserver-kubelet-client", "front-proxy-client", "apiserver-etcd-client"},
	upgrade.ControllerManager: {"controller-manager.conf"},
	upgrade.Scheduler:         {"scheduler.conf"},
}

// hash is the hash of the manifest that the kubelet runs, which it writes on the mirror pod.
func (r *podsRun) hash(component string) (hash string, err error) {
	err = r.poll(upgradeManifests, func(ctx context.Context) (bool, error) {
		var err error
		hash, err = r.hashNow(ctx, component)
		return err == nil, err
	})
	return hash, err
}

func (r *podsRun) hashNow(ctx context.Context, component string) (string, error) {
	pod, err := r.api.CoreV1().Pods("kube-system").Get(ctx, component+"-"+r.m.opts.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("failed to obtain static Pod hash for component %s on Node %s: %w", component, r.m.opts.Name, err)
	}
	return pod.Annotations[hashAnnotation], nil
}

func (r *podsRun) awaitHash(component string) error {
	err := r.poll(upgradeManifests, func(ctx context.Context) (bool, error) {
		hash, err := r.hashNow(ctx, component)
		return err == nil && hash != r.hashes[component], err
	})
	if errors.Is(err, errTimeout) {
		err = fmt.Errorf("static Pod hash for component %s on Node %s did not change after %v: %w", component, r.m.opts.Name, upgradeManifests, err)
	}
	return err
}

// awaitRunning waits until the component's pods, those of all nodes, are Running; whether they are Ready is not asked.
func (r *podsRun) awaitRunning(component string) error {
	last := -1
	return r.poll(upgradeManifests, func(ctx context.Context) (bool, error) {
		pods, err := r.api.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "component=" + component})
		if err != nil {
			r.printf("[apiclient] Error getting Pods with label selector %q [%v]\n", "component="+component, err)
			return false, nil
		}
		if n := len(pods.Items); n != last {
			r.printf("[apiclient] Found %d Pods for label selector component=%s\n", n, component)
			last = n
		}
		return len(pods.Items) > 0 && !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning }), nil
	})
}

// rollBack puts the old manifests back, etcd's only when it is etcd that failed.
func (r *podsRun) rollBack(component string, cause error) error {
	if r.ctx.Err() != nil {
		return errPower
	}
	for _, c := range r.touched {
		if c == "etcd" && component != "etcd" {
			continue
		}
		if err := r.rename(r.backup+"/"+c+".yaml", manifestPath(c)); err != nil {
			cause = fmt.Errorf("[%w, rename %s %s: %s]", cause, r.backup+"/"+c+".yaml", manifestPath(c), strings.ToLower(reason(err)))
		}
	}
	return fmt.Errorf("couldn't upgrade control plane. kubeadm has tried to recover everything into the earlier state. Errors faced: %w", cause)
}

var versionLine = regexp.MustCompile(`(?m)^kubernetesVersion: .*$`)

// uploadConfig writes the version into kubeadm-config, from where the other nodes' kubeadm take it.
func (k *kubeadmRun) uploadConfig(v upgrade.Version) error {
	if !k.sleep(time.Second) {
		return errPower
	}
	err := k.poll(time.Minute, func(ctx context.Context) (bool, error) {
		maps := k.api.CoreV1().ConfigMaps("kube-system")
		cm, err := maps.Get(ctx, "kubeadm-config", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		cm.Data["ClusterConfiguration"] = versionLine.ReplaceAllString(cm.Data["ClusterConfiguration"], "kubernetesVersion: "+v.String())
		_, err = maps.Update(ctx, cm, metav1.UpdateOptions{})
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("error uploading the kubeadm ClusterConfiguration: %w", err)
	}
	return nil
}

// kubeletConfig writes the cluster's configuration of the kubelets to this node.
func (k *kubeadmRun) kubeletConfig(v upgrade.Version) error {
	var config string
	if err := k.poll(time.Minute, func(ctx context.Context) (bool, error) {
		cm, err := k.api.CoreV1().ConfigMaps("kube-system").Get(ctx, "kubelet-config", metav1.GetOptions{})
		if err == nil {
			config = cm.Data["kubelet"]
		}
		return err == nil, err
	}); err != nil {
		return fmt.Errorf("failed to get component configs: %w", err)
	}
	dir := kubeadmFolder + "/kubeadm-kubelet-config-" + time.Now().Format("2006-01-02-15-04-05")
	if err := k.mkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("could not create timestamp directory: %s", reason(err))
	}
	k.printf("[upgrade] Backing up kubelet config file to %s/config.yaml\n", dir)
	if err := k.copyTree(kubeletConfig, dir+"/config.yaml", true); err != nil {
		return fmt.Errorf("error backing up the kubelet config file: %w", err)
	}
	if !k.exists(kubeletInstance) {
		text := "apiVersion: kubelet.config.k8s.io/v1beta1\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\nkind: KubeletConfiguration\n"
		if err := k.writeFile(kubeletInstance, []byte(text), 0o644); err != nil {
			return fmt.Errorf("error writing kubelet instance configuration: %s", reason(err))
		}
	}
	k.printf("[kubelet-start] Writing kubelet configuration to file \"%s\"\n", kubeletConfig)
	if err := k.writeFile(kubeletConfig, []byte(config), 0o644); err != nil {
		return fmt.Errorf("error writing kubelet configuration to file: %s", reason(err))
	}
	// Only the kubeadm of the minor that removes a flag takes it out.
	if v.MinorString() == "v1.35" {
		if err := k.stripFlag("--pod-infra-container-image"); err != nil {
			return err
		}
	}
	k.printf("[upgrade/kubelet-config] The kubelet configuration for this node was successfully upgraded!\n")
	return nil
}

func (k *kubeadmRun) stripFlag(flag string) error {
	text, err := k.readFile(kubeletFlags)
	if err != nil {
		return fmt.Errorf("error reading kubelet env file: %s", reason(err))
	}
	next := regexp.MustCompile(` ?`+flag+`=[^ "]*`).ReplaceAll(text, nil)
	if string(next) == string(text) {
		return nil
	}
	return k.writeFile(kubeletFlags, next, 0o644)
}

// addons brings CoreDNS and kube-proxy to this kubeadm's versions, if no control plane node is older than this one.
func (k *kubeadmRun) addons(v upgrade.Version, controlPlane bool) error {
	if !controlPlane {
		k.printf("[upgrade/addon] Skipping the addon/coredns phase. Not a control plane node.\n[upgrade/addon] Skipping the addon/kube-proxy phase. Not a control plane node.\n")
		return nil
	}
	var older []string
	if err := k.poll(time.Minute, func(ctx context.Context) (bool, error) {
		var err error
		older, err = k.notUpgraded(ctx)
		return err == nil, err
	}); err != nil {
		return fmt.Errorf("failed to determine whether all the control plane instances have been upgraded: %w", err)
	}
	if len(older) > 0 {
		for range 2 { // once for each addon
			k.printf("[upgrade/addon] Skipping upgrade of addons because control plane instances %v have not been upgraded\n", older)
		}
		return nil
	}
	if !k.sleep(3 * time.Second) {
		return errPower
	}
	err := k.poll(time.Minute, func(ctx context.Context) (bool, error) {
		deployments := k.api.AppsV1().Deployments("kube-system")
		d, err := deployments.Get(ctx, "coredns", metav1.GetOptions{})
		if err != nil {
			return missing(err), err
		}
		setImage(&d.Spec.Template.Spec, "coredns", registry+"/coredns/coredns:"+imagesOf(k.version).coreDNS)
		_, err = deployments.Update(ctx, d, metav1.UpdateOptions{})
		return err == nil, err
	})
	if err != nil {
		return err
	}
	k.printf("[addons] Applied essential addon: CoreDNS\n")
	err = k.poll(time.Minute, func(ctx context.Context) (bool, error) {
		sets := k.api.AppsV1().DaemonSets("kube-system")
		d, err := sets.Get(ctx, "kube-proxy", metav1.GetOptions{})
		if err != nil {
			return missing(err), err
		}
		setImage(&d.Spec.Template.Spec, "kube-proxy", registry+"/kube-proxy:"+v.String())
		_, err = sets.Update(ctx, d, metav1.UpdateOptions{})
		return err == nil, err
	})
	if err != nil {
		return err
	}
	k.printf("[addons] Applied essential addon: kube-proxy\n")
	return nil
}

func setImage(spec *corev1.PodSpec, container, image string) {
	for i := range spec.Containers {
		if spec.Containers[i].Name == container {
			spec.Containers[i].Image = image
		}
	}
}

// notUpgraded are the nodes whose API server has another image than this node's.
func (k *kubeadmRun) notUpgraded(ctx context.Context) ([]string, error) {
	pods, err := k.api.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "component=" + upgrade.APIServer})
	if err != nil {
		return nil, fmt.Errorf("failed to list kube-apiserver Pod from cluster: %w", err)
	}
	byNode := map[string]string{}
	for _, pod := range pods.Items {
		for _, c := range pod.Spec.Containers {
			if c.Name == upgrade.APIServer {
				byNode[pod.Spec.NodeName] = c.Image
			}
		}
	}
	mine, ok := byNode[k.m.opts.Name]
	if !ok {
		return nil, fmt.Errorf("cannot find kube-apiserver image for current control plane instance %s", k.m.opts.Name)
	}
	var older []string
	for node, image := range byNode {
		if image != mine {
			older = append(older, node)
		}
	}
	slices.Sort(older)
	return older, nil
}

// plan is kubeadm upgrade plan.
func (k *kubeadmRun) plan(args []string) error {
	target := k.version
	if len(args) > 0 {
		var err error
		if target, err = upgrade.ParseVersion(args[0]); err != nil {
			return fmt.Errorf("couldn't parse Kubernetes version %q: %w", args[0], err)
		}
	}
	asJSON := k.opts.value("o", "output") == "json"
	said := k.out
	if asJSON { // only the plan is printed then
		k.out = pipe{k.process, nil}
	}
	if err := k.connect(adminConf); err != nil {
		return err
	}
	if _, err := k.clusterVersion(); err != nil {
		return err
	}
	k.printf("[preflight] Running pre-flight checks.\n")
	if err := k.rootOnly(); err != nil {
		return err
	}
	if err := k.health(); err != nil {
		return fmt.Errorf("[upgrade/health] FATAL: %w", err)
	}
	wait := time.Second
	if len(args) == 0 {
		wait = 10 * time.Second // the newest version is asked for on the internet
	}
	if !k.sleep(wait) {
		return errPower
	}
	k.printf("[upgrade] Fetching available versions to upgrade to\n")
	components, current, err := k.planComponents(target)
	if err != nil {
		return err
	}
	k.printf("[upgrade/versions] Cluster version: %s\n[upgrade/versions] kubeadm version: %s\n[upgrade/versions] Target version: %s\n", current.Number(), k.version, target)
	k.out = said
	if !current.Less(target) {
		return nil // nothing at all is printed when there is no upgrade
	}
	if !asJSON {
		k.printf("\nUpgrade to the latest stable version:\n\nCOMPONENT NODE CURRENT TARGET\n")
		for _, c := range components {
			k.printf("%s %s %s %s\n", c[0], c[3], c[1], c[2])
		}
		k.printf("\nYou can now apply the upgrade by executing the following command:\n\n\tkubeadm upgrade apply %s\n\n", target)
		return nil
	}
	var list []string
	for _, c := range components {
		node := ""
		if c[3] != "" {
			node = fmt.Sprintf(", \"nodeName\": %q", c[3])
		}
		list = append(list, fmt.Sprintf("        {\"name\": %q, \"currentVersion\": %q, \"newVersion\": %q%s}", c[0], c[1], c[2], node))
	}
	k.printf("{\n  \"kind\": \"UpgradePlan\",\n  \"apiVersion\": \"output.kubeadm.k8s.io/v1alpha3\",\n  \"availableUpgrades\": [\n    {\n      \"description\": \"stable version\",\n      \"components\": [\n%s\n      ]\n    }\n  ],\n"+
		"  \"configVersions\": [\n    {\"group\": \"kubelet.config.k8s.io\", \"currentVersion\": \"v1beta1\", \"preferredVersion\": \"v1beta1\", \"manualUpgradeRequired\": false}\n  ]\n}\n", strings.Join(list, ",\n"))
	return nil
}

// planComponents are name, current version, new version and node of all that an upgrade changes, and the version of the
// newest API server.
func (k *kubeadmRun) planComponents(target upgrade.Version) (all [][4]string, current upgrade.Version, err error) {
	err = k.ask(func(ctx context.Context) error {
		nodes, err := k.api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, node := range nodes.Items {
			all = append(all, [4]string{"kubelet", node.Status.NodeInfo.KubeletVersion, target.String(), node.Name})
		}
		pods, err := k.api.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: "tier=control-plane"})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			name := pod.Labels["component"]
			for _, c := range pod.Spec.Containers {
				if c.Name != name {
					continue
				}
				_, tag := upgrade.ParseImage(c.Image)
				next := target.String()
				if name == "etcd" {
					next = imagesOf(k.version).etcd
				}
				all = append(all, [4]string{name, tag, next, pod.Spec.NodeName})
				if v, err := upgrade.ImageVersion(c.Image); err == nil && name == upgrade.APIServer && current.Less(v) {
					current = v
				}
			}
		}
		d, err := k.api.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
		if err == nil && len(d.Spec.Template.Spec.Containers) > 0 {
			_, tag := upgrade.ParseImage(d.Spec.Template.Spec.Containers[0].Image)
			all = append(all, [4]string{"CoreDNS", tag, imagesOf(k.version).coreDNS, ""})
		}
		return nil
	})
	all = append(all, [4]string{"kube-proxy", current.String(), target.String(), ""}, [4]string{"kubeadm", k.version.String(), target.String(), ""})
	if err == nil && current.IsZero() {
		err = errors.New("cannot find kube-apiserver Pod")
	}
	return all, current, err
}
