package host

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const (
	manifestFolder = "/etc/kubernetes/manifests"
	kubeadmFolder  = "/etc/kubernetes/tmp"
	etcd           = "etcd"
)

// StaticPodVersions reads the versions of the control plane's components from the manifests on disk. Components
// without a manifest are left out; on a worker there are none.
func (h *Host) StaticPodVersions(ctx context.Context) (map[string]upgrade.Version, error) {
	pods, err := h.staticPods(ctx)
	if err != nil {
		return nil, err
	}
	versions := map[string]upgrade.Version{}
	for _, component := range upgrade.ControlPlaneComponents {
		pod, ok := pods[component]
		if !ok {
			continue
		}
		v, err := upgrade.ImageVersion(pod.image)
		if err != nil {
			return nil, fault.Wrap(fault.VerificationFailed, "read "+manifest(component)+" on", h.node, err, "")
		}
		versions[component] = v
	}
	return versions, nil
}

func manifest(component string) string { return manifestFolder + "/" + component + ".yaml" }

// staticPods reads the manifests of the control plane's components that exist.
func (h *Host) staticPods(ctx context.Context) (map[string]staticPod, error) {
	var paths []string
	for _, component := range upgrade.ControlPlaneComponents {
		paths = append(paths, manifest(component))
	}
	there, err := h.existing(ctx, paths...)
	if err != nil {
		return nil, err
	}
	pods := map[string]staticPod{}
	for _, file := range there {
		text, err := h.read(ctx, file)
		if err != nil {
			return nil, err
		}
		component := strings.TrimSuffix(path.Base(file), ".yaml")
		pod, err := parseStaticPod(component, text)
		if err != nil {
			return nil, fault.Wrap(fault.VerificationFailed, "read "+file+" on", h.node, err, "")
		}
		pods[component] = pod
	}
	return pods, nil
}

// manifestsAt returns nil when every component's manifest is at v.
func (h *Host) manifestsAt(ctx context.Context, op string, v upgrade.Version) error {
	versions, err := h.StaticPodVersions(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	for _, component := range upgrade.ControlPlaneComponents {
		if have, ok := versions[component]; !ok {
			wrong = append(wrong, component+" has no manifest")
		} else if have != v {
			wrong = append(wrong, component+" is "+have.String())
		}
	}
	if len(wrong) > 0 {
		return fault.New(fault.VerificationFailed, op+" on", h.node, "kubeadm succeeded, but in "+manifestFolder+" "+strings.Join(wrong, ", ")+", wanted "+v.String(), "")
	}
	return nil
}

// restoreManifests puts back static pod manifests that a kubeadm which was cut off left out. kubeadm replaces a
// manifest by two renames, the old one to a backup folder and then the new one to its place; killed in between, there
// is none, and every later run fails or takes the node for a worker (kubeadm 1.37, phases/upgrade/staticpods.go).
//
// The old manifest is put back, not the new one: it is the one that ran, with which the data on disk fit, and kubeadm
// then replaces it again with its own checks and its own way back. A new one put there by us would be equal to what
// kubeadm wants, and kubeadm passes over equal manifests without any check.
func (h *Host) restoreManifests(ctx context.Context, op string) error {
	backups, err := h.backups(ctx)
	if err != nil {
		return err
	}
	var restored []string
	for _, component := range append(slices.Clone(upgrade.ControlPlaneComponents), etcd) {
		there, err := h.exists(ctx, manifest(component))
		if err != nil {
			return err
		}
		if there {
			continue
		}
		backup := backups[component]
		if backup == "" && component == etcd {
			external, err := h.externalEtcd(ctx)
			if err != nil {
				return err
			}
			if external {
				continue
			}
		}
		if backup == "" {
			return fault.New(fault.PreflightFailed, op+" on", h.node,
				manifest(component)+" is missing, and "+kubeadmFolder+" holds no backup of it",
				"restore it from a backup of /etc/kubernetes before going on")
		}
		if err := h.restoreManifest(ctx, backup, component); err != nil {
			return err
		}
		restored = append(restored, component)
	}
	return h.awaitPods(ctx, op, restored)
}

// restoreManifest copies, so that the backup stays, under a name that the kubelet passes over, and then renames.
func (h *Host) restoreManifest(ctx context.Context, backup, component string) error {
	op := "restore " + manifest(component)
	temporary := remote.Hidden(manifest(component))
	for _, argv := range [][]string{
		{"cp", "--preserve=mode,ownership", backup, temporary},
		{"sync", temporary},
		{"mv", "-T", temporary, manifest(component)},
	} {
		if _, err := h.must(ctx, op, argv...); err != nil {
			return err
		}
	}
	return nil
}

// backups are the newest backups that kubeadm made of manifests, by component. Each run has a folder of its own,
// kubeadm-backup-manifests-2026-11-23-06-54-08, so the names sort by time.
func (h *Host) backups(ctx context.Context) (map[string]string, error) {
	r, err := h.root(ctx, "find", kubeadmFolder, "-mindepth", "2", "-maxdepth", "2", "-path", kubeadmFolder+"/kubeadm-backup-manifests*",
		"-name", "*.yaml", "-size", "+0")
	if err != nil {
		return nil, err
	}
	return newestBackups(r.Stdout), nil // find fails when there is no such folder, and then there is no backup
}

func newestBackups(listing string) map[string]string {
	newest := map[string]string{}
	files := strings.Fields(listing)
	slices.Sort(files)
	for _, file := range files {
		newest[strings.TrimSuffix(path.Base(file), ".yaml")] = file
	}
	return newest
}

// externalEtcd reports whether the API server uses an etcd that is not a static pod of this machine.
func (h *Host) externalEtcd(ctx context.Context) (bool, error) {
	pods, err := h.staticPods(ctx)
	if err != nil {
		return false, err
	}
	pod, ok := pods[upgrade.APIServer]
	return ok && !pod.localEtcd(), nil
}

// podsTimeout is how long restored static pods may take: the kubelet notices the file at once but may wait out a
// restart back-off.
const podsTimeout = 5 * time.Minute

// awaitPods waits until the restored static pods are Ready. kubeadm needs them: it refuses to work without an API
// server, and it compares with the pods that run.
func (h *Host) awaitPods(ctx context.Context, op string, components []string) error {
	if len(components) == 0 {
		return nil
	}
	argv := []string{"kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--namespace=kube-system", "wait", "--for=condition=Ready", "--timeout=10s"}
	for _, component := range components {
		argv = append(argv, "pod/"+component+"-"+h.node)
	}
	deadline := time.Now().Add(podsTimeout)
	for {
		r, err := h.root(ctx, argv...)
		if err != nil {
			return err
		}
		if r.ExitCode == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fault.New(fault.VerificationFailed, op+" on", h.node,
				"the manifests of "+strings.Join(components, ", ")+" were restored, but the pods are not Ready: "+remote.Tail(r.Stderr), "")
		}
		if err := remote.Wait(ctx, 4*h.on.Poll); err != nil {
			return fault.Wrap(fault.OutcomeUnknown, op+" on", h.node, err, "")
		}
	}
}

// sortedKeys are the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
