package machine

import "github.com/pawl-dev/pawl/internal/upgrade"

// CoreDNS is the image tag that kubeadm v deploys.
func CoreDNS(v upgrade.Version) string { return imagesOf(v).coreDNS }
