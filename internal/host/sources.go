package host

import (
	"bytes"
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// aptSource is one entry for Kubernetes packages in apt's configuration: a line of a .list file or a stanza of a
// .sources file (sources.list(5)). The repositories of pkgs.k8s.io, and mirrors of them, have one folder per minor:
// https://pkgs.k8s.io/core:/stable:/v1.37/deb/.
type aptSource struct {
	file     string
	text     string // the line or stanza as it is, options and all
	base     string // https://pkgs.k8s.io/core:/stable:
	minor    string // v1.37
	signedBy string // the keyring file; empty when there is none or when the key stands in the entry itself
}

var (
	sourceURI  = regexp.MustCompile(`([a-z+]+:/[^\s\]]*?)/(v[0-9]+\.[0-9]+)/deb`)
	signedBy   = regexp.MustCompile(`(?i)signed-by\s*[=:]\s*(/[^\s\],]+)`)
	disabled   = regexp.MustCompile(`(?im)^Enabled:\s*(no|false|0)\s*$`)
	stanzaEnds = regexp.MustCompile(`\n[ \t]*\n`)
)

// parseSources finds the entries with folders per minor in one file. Other projects have such folders too, so matches
// has the last word.
func parseSources(file, content string) []aptSource {
	var found []aptSource
	for _, entry := range entries(file, content) {
		uri := sourceURI.FindStringSubmatch(withoutComments(entry))
		if uri == nil || disabled.MatchString(entry) {
			continue
		}
		s := aptSource{file: file, text: entry, base: uri[1], minor: uri[2]}
		if key := signedBy.FindStringSubmatch(withoutComments(entry)); key != nil {
			s.signedBy = key[1]
		}
		found = append(found, s)
	}
	return found
}

func entries(file, content string) []string {
	if strings.HasSuffix(file, ".sources") {
		return stanzaEnds.Split(content, -1)
	}
	return strings.Split(content, "\n")
}

func withoutComments(entry string) string {
	var kept []string
	for _, line := range strings.Split(entry, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// at is the entry's text for another minor. Nothing else in it changes.
func (s aptSource) at(minor string) string {
	return strings.ReplaceAll(s.text, s.base+"/"+s.minor+"/deb", s.base+"/"+minor+"/deb")
}

// keyURI is where the repository's signing key is.
func (s aptSource) keyURI(minor string) string {
	return s.base + "/" + minor + "/deb/Release.key"
}

// community is the path that all repositories of pkgs.k8s.io share.
const community = "/core:/stable:"

// official are its names (https://kubernetes.io/blog/2023/08/15/pkgs-k8s-io-introduction/).
var official = []string{"pkgs.k8s.io" + community, "pkgs.kubernetes.io" + community, "packages.kubernetes.io" + community}

// matches reports whether the entry is of the wanted repository. An empty one stands for whatever mirror the machine
// has of the community's.
func (s aptSource) matches(repository string) bool {
	have, want := withoutScheme(s.base), withoutScheme(repository)
	if want == "" {
		return strings.HasSuffix(have, community)
	}
	return have == want || slices.Contains(official, have) && slices.Contains(official, want)
}

func withoutScheme(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	return strings.TrimRight(address, "/")
}

// dearmor returns the binary form of an ASCII-armoured OpenPGP key (RFC 9580, section 6), which is what apt wants in
// keyrings that are not named .asc. The checksum line is passed over: apt verifies signatures, not the key's transport.
func dearmor(armoured []byte) ([]byte, error) {
	_, rest, ok := bytes.Cut(armoured, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----"))
	if !ok {
		return nil, errors.New("not an ASCII-armoured public key")
	}
	body, _, ok := bytes.Cut(rest, []byte("-----END PGP PUBLIC KEY BLOCK-----"))
	if !ok {
		return nil, errors.New("the public key is cut off")
	}
	var data []byte
	for _, line := range bytes.Split(body, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '=' || bytes.Contains(line, []byte(": ")) {
			continue // the end of the headers, the checksum, a header
		}
		data = append(data, line...)
	}
	key, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil {
		return nil, errors.New("the public key is not base64")
	}
	if len(key) == 0 {
		return nil, errors.New("the public key is empty")
	}
	return key, nil
}
