// Package versions knows the Kubernetes versions that the lab can build. Rule:
// a version is written v1.MINOR.PATCH everywhere in the lab.
package versions

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
)

// Oldest is the first minor whose kubeadm takes the configuration (v1beta4)
// and the image layout that the lab writes.
const Oldest = 33

// known is one patch of each minor that has been seen to build.
var known = []string{"v1.33.13", "v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2"}

// Default is the version a lab starts with.
const Default = "v1.36.3"

// Known lists the versions that the lab knows by itself.
func Known() []string { return append([]string(nil), known...) }

// Parse checks one version; the leading v may be left out.
func Parse(s string) (string, error) {
	v := "v" + strings.TrimPrefix(strings.TrimSpace(s), "v")
	if semver.Canonical(v) != v || semver.Prerelease(v) != "" || semver.Major(v) != "v1" {
		return "", fmt.Errorf("version %q: not a release like %s", s, Default)
	}
	if MinorNumber(v) < Oldest {
		return "", fmt.Errorf("version %q: older than v1.%d, the oldest the lab can run", s, Oldest)
	}
	return v, nil
}

// ParseList checks a list and returns it sorted, without repeats.
func ParseList(list []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		v, err := Parse(s)
		if err != nil {
			return nil, err
		}
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	semver.Sort(out)
	return out, nil
}

// Minor is the minor as the package repositories name it: v1.37.
func Minor(v string) string { return semver.MajorMinor(v) }

// MinorNumber is the minor's number: 37.
func MinorNumber(v string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(semver.MajorMinor(v), "v1."))
	return n
}

// Next is the known version one minor above v, or "" if there is none.
func Next(v string) string {
	for _, k := range known {
		if MinorNumber(k) == MinorNumber(v)+1 {
			return k
		}
	}
	return ""
}

// Debian is the version of the .deb packages: 1.37.2-1.1.
func Debian(v string) string { return strings.TrimPrefix(v, "v") + "-1.1" }
