// Package artefacts builds everything a lab is made of. Rule: only what is
// missing is built, and what a version needs is asked of that version itself.
package artefacts

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/pawl-dev/pawl/lab/internal/deb"
	"github.com/pawl-dev/pawl/lab/internal/gobuild"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/image"
	"github.com/pawl-dev/pawl/lab/internal/progress"
	"github.com/pawl-dev/pawl/lab/internal/rootfs"
)

// Recipes change whenever what is made here from the same programs changes.
const (
	imageRecipe  = "1"
	debRecipe    = "1"
	mirrorRecipe = "1"
)

// WebImage is the sample service's image.
var WebImage = image.Ref{Repository: "lab/web", Tag: "1"}

// Images is the store that the lab's registry serves.
func Images(h home.Home) image.Store { return image.Store(h.Cache("images-r" + imageRecipe)) }

// Debs is the folder with a version's packages.
func Debs(h home.Home, version string) string { return h.Cache("debs-r"+debRecipe, version) }

// Template is the folder that nodes are copied from.
func Template(h home.Home) string { return rootfs.TemplateDir(h, gobuild.Containerd) }

// ImageList is what a version's cluster runs.
func ImageList(ctx context.Context, h home.Home, version string) ([]image.Ref, error) {
	text, err := gobuild.Builder{Home: h}.Images(ctx, version)
	if err != nil {
		return nil, err
	}
	return image.ParseList(string(text))
}

// maker is one build: where to, from what, and whom to tell.
type maker struct {
	home  home.Home
	build gobuild.Builder
	out   *progress.Printer
}

// Build makes all that labs of the given versions need.
func Build(ctx context.Context, h home.Home, versions []string, out *progress.Printer) error {
	unlock, err := h.Lock("build")
	if err != nil {
		return err
	}
	defer unlock()
	m := maker{home: h, build: gobuild.Builder{Home: h}, out: out}

	// The root filesystem waits for the network while the compiler has the
	// processors; the compiler keeps all of them busy with one program.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return m.out.Cached("root filesystem: Debian "+rootfs.Release, func() (bool, error) { return rootfs.Base(gctx, h) })
	})
	g.Go(func() error { return m.programs(gctx, versions) })
	if err := g.Wait(); err != nil {
		return err
	}

	err = m.out.Cached("node template", func() (bool, error) {
		return rootfs.Template(h, gobuild.Containerd, m.build.ContainerdDir())
	})
	if err != nil {
		return err
	}
	for _, v := range versions {
		if err := m.version(ctx, v); err != nil {
			return err
		}
	}
	return m.image(WebImage, "/web", func() ([]image.File, error) { return m.guest("web"), nil })
}

// programs compiles, the longest first.
func (m maker) programs(ctx context.Context, versions []string) error {
	for _, v := range versions {
		if err := m.out.Cached("Kubernetes "+v, func() (bool, error) { return m.build.Kubernetes(ctx, v) }); err != nil {
			return err
		}
	}
	for _, v := range versions {
		refs, err := ImageList(ctx, m.home, v)
		if err != nil {
			return err
		}
		for _, r := range refs {
			var err error
			switch r.Component() {
			case "etcd":
				err = m.out.Cached("etcd "+r.Release(), func() (bool, error) { return m.build.Etcd(ctx, r.Release()) })
			case "coredns":
				err = m.out.Cached("CoreDNS "+r.Release(), func() (bool, error) { return m.build.CoreDNS(ctx, r.Release()) })
			}
			if err != nil {
				return err
			}
		}
	}
	steps := []struct {
		title string
		make  func(context.Context) (bool, error)
	}{
		{"containerd " + gobuild.Containerd, m.build.Containerd},
		{"network plugins " + gobuild.CNI, m.build.CNIPlugins},
		{"pod programs", func(ctx context.Context) (bool, error) {
			a, err := m.build.Guest(ctx, "pause")
			if err != nil {
				return false, err
			}
			b, err := m.build.Guest(ctx, "web")
			return a && b, err
		}},
	}
	for _, s := range steps {
		if err := m.out.Cached(s.title, func() (bool, error) { return s.make(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// version makes one version's images and packages.
func (m maker) version(ctx context.Context, v string) error {
	refs, err := ImageList(ctx, m.home, v)
	if err != nil {
		return err
	}
	err = m.out.Cached("images of "+v, func() (bool, error) {
		all := true
		for _, r := range refs {
			entrypoint, files, err := m.content(v, r)
			if err != nil {
				return false, err
			}
			cached, err := m.make(r, entrypoint, files)
			if err != nil {
				return false, err
			}
			all = all && cached
		}
		return all, nil
	})
	if err != nil {
		return err
	}
	return m.out.Cached("packages of "+v, func() (bool, error) {
		return deb.BuildKubernetes(Debs(m.home, v), v, deb.Sources{
			Kubernetes: m.build.KubernetesDir(v), CNI: m.build.CNIDir(), CNIVersion: gobuild.CNI,
		})
	})
}

// content says what one of kubeadm's images is made of.
func (m maker) content(version string, r image.Ref) (entrypoint string, files func() ([]image.File, error), err error) {
	program := func(dir, name, target string) image.File {
		return image.File{Source: filepath.Join(dir, name), Target: target}
	}
	fixed := func(f ...image.File) func() ([]image.File, error) {
		return func() ([]image.File, error) { return f, nil }
	}
	const bin = "/usr/local/bin/"
	c := r.Component()
	switch c {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
		return bin + c, fixed(program(m.build.KubernetesDir(version), c, bin+c)), nil
	case "kube-proxy":
		return bin + c, func() ([]image.File, error) {
			xtables, err := rootfs.Xtables(m.home)
			return append(xtables, program(m.build.KubernetesDir(version), c, bin+c)), err
		}, nil
	case "etcd":
		dir := m.build.EtcdDir(r.Release())
		return bin + "etcd", fixed(program(dir, "etcd", bin+"etcd"), program(dir, "etcdctl", bin+"etcdctl"), program(dir, "etcdutl", bin+"etcdutl")), nil
	case "coredns":
		return "/coredns", fixed(program(m.build.CoreDNSDir(r.Release()), c, "/coredns")), nil
	case "pause":
		return "/pause", fixed(m.guest("pause")...), nil
	}
	return "", nil, fmt.Errorf("image %s: kubeadm %s wants it and the lab does not know how to make it", r, version)
}

// guest is the content of an image of one of the lab's own programs.
func (m maker) guest(name string) []image.File {
	return []image.File{{Source: filepath.Join(m.build.GuestDir(name), name), Target: "/" + name}}
}

// make makes an image, collecting its files only if it is missing.
func (m maker) make(r image.Ref, entrypoint string, files func() ([]image.File, error)) (bool, error) {
	if Images(m.home).Has(r) {
		return true, nil
	}
	f, err := files()
	if err != nil {
		return false, err
	}
	return Images(m.home).Make(r, entrypoint, f)
}

func (m maker) image(r image.Ref, entrypoint string, files func() ([]image.File, error)) error {
	return m.out.Cached("image "+r.Repository, func() (bool, error) { return m.make(r, entrypoint, files) })
}
