package image

import (
	"fmt"
	"strings"
)

// Ref is an image's name, taken apart.
type Ref struct {
	Repository string // without the registry: coredns/coredns
	Tag        string
}

// String is the name as nodes ask for it.
func (r Ref) String() string { return Registry + "/" + r.Repository + ":" + r.Tag }

// Component is the last part of the repository: coredns.
func (r Ref) Component() string {
	return r.Repository[strings.LastIndexByte(r.Repository, '/')+1:]
}

// Release is the upstream release that the tag stands for. etcd's tags carry
// the build's number and no v: 3.6.8-0 is v3.6.8.
func (r Ref) Release() string {
	if r.Component() != "etcd" {
		return r.Tag
	}
	release, _, _ := strings.Cut(r.Tag, "-")
	return "v" + release
}

// ParseList reads what "kubeadm config images list" prints.
func ParseList(text string) ([]Ref, error) {
	var refs []Ref
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		ref, err := parseRef(line)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	if len(refs) == 0 {
		return nil, fmt.Errorf("kubeadm's list of images is empty")
	}
	return refs, nil
}

// Find is the image of a component.
func Find(refs []Ref, component string) (Ref, error) {
	for _, r := range refs {
		if r.Component() == component {
			return r, nil
		}
	}
	return Ref{}, fmt.Errorf("image of %s: kubeadm's list has none", component)
}

func parseRef(s string) (Ref, error) {
	rest, ok := strings.CutPrefix(s, Registry+"/")
	repository, tag, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || repository == "" || tag == "" || strings.ContainsAny(tag, "/: ") {
		return Ref{}, fmt.Errorf("image %q: not of the form %s/NAME:TAG", s, Registry)
	}
	return Ref{Repository: repository, Tag: tag}, nil
}
