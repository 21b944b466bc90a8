package host

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/remote"
)

// packageSource is one entry for Kubernetes packages in a package manager's configuration: a line of a .list file or a
// stanza of a .sources file (sources.list(5)), a section of a .repo file (dnf.conf(5)). The repositories of pkgs.k8s.io,
// and mirrors of them, have one folder per minor: https://pkgs.k8s.io/core:/stable:/v1.37/deb/.
type packageSource struct {
	file     string
	text     string // the entry as it is, options and all
	base     string // https://pkgs.k8s.io/core:/stable:
	minor    string // v1.37
	folder   string // of a minor: deb or rpm
	signedBy string // apt: the keyring file; empty when there is none or when the key stands in the entry itself
	id       string // dnf and zypper: the section's name
}

var (
	sourceURI  = regexp.MustCompile(`([a-z+]+:/[^\s\]]*?)/(v[0-9]+\.[0-9]+)/deb`)
	signedBy   = regexp.MustCompile(`(?i)signed-by\s*[=:]\s*(/[^\s\],]+)`)
	disabled   = regexp.MustCompile(`(?im)^Enabled:\s*(no|false|0)\s*$`)
	stanzaEnds = regexp.MustCompile(`\n[ \t]*\n`)
)

// parseSources finds the entries with folders per minor in one file. Other projects have such folders too, so matches
// has the last word.
func parseSources(file, content string) []packageSource {
	var found []packageSource
	for _, entry := range entries(file, content) {
		uri := sourceURI.FindStringSubmatch(withoutComments(entry))
		if uri == nil || disabled.MatchString(entry) {
			continue
		}
		s := packageSource{file: file, text: entry, base: uri[1], minor: uri[2], folder: "deb"}
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
func (s packageSource) at(minor string) string {
	return strings.ReplaceAll(s.text, s.folderOf(s.minor), s.folderOf(minor))
}

// folderOf is where the packages of a minor are.
func (s packageSource) folderOf(minor string) string { return s.base + "/" + minor + "/" + s.folder }

// keyURI is where the signing key of a Debian repository is.
func (s packageSource) keyURI(minor string) string { return s.folderOf(minor) + "/Release.key" }

// community is the path that all repositories of pkgs.k8s.io share.
const community = "/core:/stable:"

// official are its names (https://kubernetes.io/blog/2023/08/15/pkgs-k8s-io-introduction/).
var official = []string{"pkgs.k8s.io" + community, "pkgs.kubernetes.io" + community, "packages.kubernetes.io" + community}

// matches reports whether the entry is of the wanted repository. An empty one stands for whatever mirror the machine
// has of the community's.
func (s packageSource) matches(repository string) bool {
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

// sourcesIn are all entries that may be for Kubernetes packages in the files at the paths, and of folders among them in the
// files whose names match one of the patterns.
func (h *Host) sourcesIn(ctx context.Context, folder string, parse func(file, content string) []packageSource, patterns []string, paths ...string) ([]packageSource, error) {
	argv := []string{"grep", "-RlsE"}
	for _, pattern := range patterns {
		argv = append(argv, "--include="+pattern)
	}
	argv = append(argv, "/v[0-9]+[.][0-9]+/"+folder)
	// grep's exit code is 1 when there is none and 2 when a file is missing, which is usual. As root: entries with
	// credentials may not be readable for everybody.
	r, err := h.root(ctx, append(argv, paths...)...)
	if err != nil {
		return nil, err
	}
	var all []packageSource
	files := strings.Fields(r.Stdout)
	slices.Sort(files)
	for _, file := range files {
		content, err := h.read(ctx, file)
		if err != nil {
			return nil, err
		}
		all = append(all, parse(file, content)...)
	}
	return all, nil
}

// chooseSource is the one of the entries that is of the wanted repository. what and file say what it is and where it
// belongs.
func (h *Host) chooseSource(all []packageSource, repository, what, folder, file string) (packageSource, error) {
	var other string
	for _, s := range all {
		if s.matches(repository) {
			return s, nil
		}
		if s.matches("") {
			other = s.file + " names " + s.base + ", "
		}
	}
	return packageSource{}, fault.New(fault.PreflightFailed, "find the Kubernetes package repository of", h.node,
		other+"no "+what+" names "+strings.TrimRight(repository, "/")+"/vX.Y/"+folder+"/",
		"add it to "+file+" or put packages.repository of the cluster's definition right")
}

// rewriteSource makes the entry's file name another minor, by a command that can do nothing else: what may be written into
// such a file decides which packages the machine trusts.
func (h *Host) rewriteSource(ctx context.Context, s packageSource, minor string) error {
	return h.edit(ctx, "name "+minor+" in "+s.file, s.file, s.file, "--preserve=all", s.toMinor(minor))
}

// edit puts an edited copy of a file at to in one rename. The commands of sed(1) are on the command line, so that a sudoers
// file says what can be written there.
func (h *Host) edit(ctx context.Context, op, from, to, preserve string, commands ...string) error {
	part := remote.Hidden(to)
	edits := []string{"sed", "--in-place"}
	for _, command := range commands {
		edits = append(edits, "--expression="+command)
	}
	for _, argv := range [][]string{{"cp", preserve, from, part}, append(edits, part), {"sync", part}, {"mv", "-T", part, to}} {
		if _, err := h.must(ctx, op, argv...); err != nil {
			return err
		}
	}
	return nil
}

// toMinor is the command of sed(1) that makes the entry name another minor.
func (s packageSource) toMinor(minor string) string {
	return substitution(s.folderOf(s.minor), s.folderOf(minor))
}

func substitution(old, text string) string {
	return "s|" + sedPattern(old) + "|" + sedText(text) + "|g"
}

// sedPattern and sedText are a text as the two sides of an s|...|...| of sed(1).
func sedPattern(text string) string {
	return strings.NewReplacer(`\`, `\\`, ".", "[.]", "*", "[*]", "[", "[[]", "^", `\^`, "$", `\$`, "|", `\|`).Replace(text)
}

func sedText(text string) string {
	return strings.NewReplacer(`\`, `\\`, "&", `\&`, "|", `\|`).Replace(text)
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
