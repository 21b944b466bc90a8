package artefacts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/pawl-dev/pawl/lab/internal/gobuild"
	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/image"
	"github.com/pawl-dev/pawl/lab/internal/mirror"
	"github.com/pawl-dev/pawl/lab/internal/progress"
)

// BuildMirror makes the releases that a cluster installed by hand is upgraded
// with; Build has made what they are made of.
func BuildMirror(ctx context.Context, h home.Home, versions []string, out *progress.Printer) error {
	unlock, err := h.Lock("build")
	if err != nil {
		return err
	}
	defer unlock()
	m := maker{home: h, build: gobuild.Builder{Home: h}, out: out}
	err = out.Cached("etcd "+gobuild.EtcdStep, func() (bool, error) { return m.build.Etcd(ctx, gobuild.EtcdStep) })
	if err != nil {
		return err
	}
	etcds, err := EtcdVersions(ctx, h, versions)
	if err != nil {
		return err
	}
	return out.Cached("mirror of released programs", func() (bool, error) {
		all := true
		for _, v := range versions {
			cached, err := home.Once(release(h, mirror.Kubernetes, v), func(tmp string) error {
				return mirror.WriteKubernetes(tmp, m.build.KubernetesDir(v))
			})
			if err != nil {
				return false, err
			}
			all = all && cached
		}
		for _, v := range etcds {
			cached, err := home.Once(release(h, mirror.Etcd, v), func(tmp string) error {
				return mirror.WriteEtcd(tmp, v, m.build.EtcdDir(v))
			})
			if err != nil {
				return false, err
			}
			all = all && cached
		}
		return all, nil
	})
}

// LinkMirror shows the releases for the given versions below the folder root.
func LinkMirror(ctx context.Context, h home.Home, root string, versions []string) error {
	etcds, err := EtcdVersions(ctx, h, versions)
	if err != nil {
		return err
	}
	for kind, list := range map[string][]string{mirror.Kubernetes: versions, mirror.Etcd: etcds} {
		if err := os.MkdirAll(filepath.Join(root, kind), 0o755); err != nil {
			return err
		}
		for _, v := range list {
			err := os.Symlink(release(h, kind, v), filepath.Join(root, kind, v))
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// EtcdVersions are those that the given Kubernetes versions come with, and the
// one on the way between them.
func EtcdVersions(ctx context.Context, h home.Home, versions []string) ([]string, error) {
	list := []string{gobuild.EtcdStep}
	for _, v := range versions {
		r, err := Image(ctx, h, v, "etcd")
		if err != nil {
			return nil, err
		}
		list = append(list, r.Release())
	}
	semver.Sort(list)
	return slices.Compact(list), nil
}

// Image is the image of one component among those of a version's cluster.
func Image(ctx context.Context, h home.Home, version, component string) (image.Ref, error) {
	refs, err := ImageList(ctx, h, version)
	if err != nil {
		return image.Ref{}, err
	}
	return image.Find(refs, component)
}

// release is a version's folder in the cache.
func release(h home.Home, kind, version string) string {
	return h.Cache("mirror-r"+mirrorRecipe, kind, version)
}
