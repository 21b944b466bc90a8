// Package registry serves the images of a store to container runtimes. Rule:
// it only reads; what is not in the store does not exist.
package registry

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/pawl-dev/pawl/lab/internal/image"
)

// route takes a pull request's path apart. Names and references may hold no
// dot at their beginning, so no path leads out of the store.
var route = regexp.MustCompile(`^/v2/([a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*)/(manifests|blobs)/([A-Za-z0-9_][A-Za-z0-9_.:-]*)$`)

// Handler answers the pull half of the OCI distribution protocol.
func Handler(store image.Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only")
			return
		}
		if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
			w.WriteHeader(http.StatusOK)
			return
		}
		m := route.FindStringSubmatch(r.URL.Path)
		if m == nil {
			fail(w, http.StatusNotFound, "NAME_UNKNOWN", "no such path")
			return
		}
		repository, kind, ref := m[1], m[2], m[3]
		if kind == "manifests" {
			manifest(w, r, store, repository, ref)
			return
		}
		blob(w, r, store, repository, ref, "application/octet-stream")
	})
}

// manifest serves a manifest by tag or by digest.
func manifest(w http.ResponseWriter, r *http.Request, store image.Store, repository, ref string) {
	if strings.HasPrefix(ref, "sha256:") {
		blob(w, r, store, repository, ref, string(typeOf(store, repository, ref)))
		return
	}
	ref2 := image.Ref{Repository: repository, Tag: ref}
	b, err := os.ReadFile(filepath.Join(store.Dir(ref2), "index.json"))
	var index v1.IndexManifest
	if err == nil {
		err = json.Unmarshal(b, &index)
	}
	if err != nil || len(index.Manifests) != 1 {
		log.Printf("registry: %s asks for %s, which is not here", r.RemoteAddr, ref2)
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "not in the lab's registry")
		return
	}
	log.Printf("registry: %s %s %s", r.RemoteAddr, r.Method, ref2)
	blob(w, r, store, repository, index.Manifests[0].Digest.String(), string(index.Manifests[0].MediaType))
}

// typeOf is what a manifest says that it is: of an image, or an index of images for several architectures.
func typeOf(store image.Store, repository, digest string) types.MediaType {
	var m struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	b, err := os.ReadFile(find(store, repository, digest))
	if err != nil || json.Unmarshal(b, &m) != nil || m.MediaType == "" {
		return types.OCIManifestSchema1
	}
	return m.MediaType
}

// blob serves a blob of any tag of the repository.
func blob(w http.ResponseWriter, r *http.Request, store image.Store, repository, digest, mediaType string) {
	if _, err := v1.NewHash(digest); err != nil {
		fail(w, http.StatusBadRequest, "DIGEST_INVALID", "not a digest")
		return
	}
	f, err := os.Open(find(store, repository, digest))
	if err != nil {
		fail(w, http.StatusNotFound, "BLOB_UNKNOWN", "not in the lab's registry")
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest)
	http.ServeContent(w, r, "", time.Time{}, f)
}

// find is the file of a blob of any tag of the repository; "" when there is none.
func find(store image.Store, repository, digest string) string {
	h, err := v1.NewHash(digest)
	if err != nil {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(store.Dir(image.Ref{Repository: repository, Tag: "*"}), "blobs", h.Algorithm, h.Hex))
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}
