//go:build linux

package host_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// rpmRepository serves package repositories of the layout of pkgs.k8s.io, made with the real rpmbuild and createrepo_c and
// signed with a key of its own, of two minors: v1.36 with 1.36.3, v1.37 with 1.37.1 and 1.37.2.
type rpmRepository struct {
	*httptest.Server
	dir string

	mu      sync.Mutex
	fetched []string
}

var builtRPMs struct {
	sync.Once
	dir string
	err error
}

// Packages: those of Kubernetes say which version they are, and stand still in their script while /run/pawl-slow is there.
// kubernetes-cni and vim have newer versions, which nothing asks for. base stands for the system.
const buildRPMs = `set -e
cd "$1"; export HOME="$1/home" GNUPGHOME="$1/home/gnupg"; mkdir -p "$HOME"; mkdir -m 700 "$GNUPGHOME"
printf 'Key-Type: RSA\nKey-Length: 2048\nName-Real: pawl test\nName-Email: test@example.org\n%%no-protection\n%%commit\n' | gpg --batch --quiet --gen-key 2>/dev/null
build() { # name version release folder, then the rest of the spec file
  printf 'Name: %s\nVersion: %s\nRelease: %s\nSummary: x\nLicense: x\n%b' "$1" "$2" "$3" "$5" > spec
  rpmbuild -bb --quiet --target x86_64 --define "_topdir $PWD/top" --define "_rpmdir $PWD/$4" \
    --define "_dbpath $PWD/db" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.rpm' spec >/dev/null 2>&1
}
for v in 1.36.3 1.37.1 1.37.2; do
  minor=v${v%.*}; mkdir -p $minor/rpm
  for p in kubeadm kubelet kubectl; do
    needs=; test $p = kubelet && needs='Requires: kubernetes-cni >= 1.5.0\n'
    says="echo v$v"; test $p = kubelet && says="echo Kubernetes v$v"
    build $p $v 150500.1.1 $minor/rpm "$needs%description\nx\n%install\nmkdir -p %{buildroot}/usr/bin\nprintf '#!/bin/sh\\\\n$says\\\\n' > %{buildroot}/usr/bin/$p\nchmod 755 %{buildroot}/usr/bin/$p\n%files\n/usr/bin/$p\n%post\ntest ! -e /run/pawl-slow || touch /run/pawl-inside\nwhile test -e /run/pawl-slow; do sleep 0.1; done\necho $p $v >> /run/pawl-scripts\n"
  done
done
empty='%description\nx\n%files\n'
build kubernetes-cni 1.5.0 150500.1.1 v1.36/rpm "$empty"; build kubernetes-cni 1.6.0 150500.1.1 v1.37/rpm "$empty"
build vim 1 1 v1.36/rpm "$empty"; build vim 2 1 v1.37/rpm "$empty"
build base 1 1 . "Provides: /bin/sh\nProvides: system-release = 9\nProvides: system-release(releasever) = 9\n$empty"
rpmsign --addsign --define "__gpg $(command -v gpg)" --define '_gpg_name pawl test' --define "_gpg_path $GNUPGHOME" v*/rpm/*.rpm >/dev/null
for d in v*/rpm; do
  createrepo_c --quiet $d
  gpg --batch --quiet --armor --detach-sign $d/repodata/repomd.xml
  gpg --batch --armor --export > $d/repodata/repomd.xml.key
done
gpgconf --kill all`

func newRPMRepository(t *testing.T) *rpmRepository {
	t.Helper()
	for _, program := range []string{"rpm", "rpmbuild", "rpmsign", "createrepo_c", "gpg"} {
		if _, err := exec.LookPath(program); err != nil {
			lack(t, "there is no "+program+"; make deps installs it")
		}
	}
	builtRPMs.Do(func() {
		if builtRPMs.dir, builtRPMs.err = os.MkdirTemp("", "pawl-rpm"); builtRPMs.err != nil {
			return
		}
		atEnd = append(atEnd, func() { _ = os.RemoveAll(builtRPMs.dir) })
		if out, err := exec.CommandContext(t.Context(), "bash", "-c", buildRPMs, "bash", builtRPMs.dir).CombinedOutput(); err != nil {
			builtRPMs.err = fmt.Errorf("build packages: %w\n%s", err, out)
		}
	})
	if builtRPMs.err != nil {
		t.Fatal(builtRPMs.err)
	}
	r := &rpmRepository{dir: builtRPMs.dir}
	files := http.FileServer(http.Dir(r.dir))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.fetched = append(r.fetched, filepath.Base(q.URL.Path))
		r.mu.Unlock()
		files.ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

// asked are the names of the files that were fetched since the last call.
func (r *rpmRepository) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	fetched := r.fetched
	r.fetched = nil
	return fetched
}

// count is how often a file was fetched.
func (r *rpmRepository) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, fetched := range r.fetched {
		if fetched == name {
			n++
		}
	}
	return n
}
