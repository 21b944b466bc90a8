package kube

import (
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// imageTag is the tag of an image reference, "" when it has none. Registry ports and digests contain ':' too, so the
// tag is what follows the last ':' of the last path segment, before any '@'.
func imageTag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag
}

// imageVersion is the Kubernetes version that an image's tag names, or the zero version. Image tags cannot hold '+', so
// '_' stands for it.
func imageVersion(image string) upgrade.Version {
	v, err := upgrade.ParseVersion(strings.ReplaceAll(imageTag(image), "_", "+"))
	if err != nil {
		return upgrade.Version{}
	}
	return v
}
