package upgrade

import (
	"fmt"
	"strings"
)

// ParseImage splits an image reference into repository and tag, "" when it has none. A registry may have a port, and a
// digest may follow the tag, so not every ':' begins a tag.
func ParseImage(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		return image[:colon], image[colon+1:]
	}
	return image, ""
}

// ImageVersion is the Kubernetes version that an image's tag names. Tags cannot hold '+', so kubeadm writes '_' for it.
func ImageVersion(image string) (Version, error) {
	_, tag := ParseImage(image)
	if tag == "" {
		return Version{}, fmt.Errorf("image %q has no tag", image)
	}
	v, err := ParseVersion(strings.ReplaceAll(tag, "_", "+"))
	if err != nil {
		return Version{}, fmt.Errorf("image %q: %w", image, err)
	}
	return v, nil
}
