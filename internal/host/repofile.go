package host

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	sectionStart = regexp.MustCompile(`(?m)^\[([^\]\n]+)\][ \t]*\r?$`)
	baseURL      = regexp.MustCompile(`(?m)^\s*baseurl\s*=\s*([a-z]+:/[^\s,]*?)/(v[0-9]+\.[0-9]+)/rpm\b`)
)

// parseRepo finds the sections of a .repo file whose packages are in folders per minor. Other projects have such folders
// too, so matches has the last word.
func parseRepo(file, content string) []packageSource {
	var found []packageSource
	starts := sectionStart.FindAllStringSubmatchIndex(content, -1)
	for i, start := range starts {
		end := len(content)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		text := content[start[0]:end]
		if url := baseURL.FindStringSubmatch(text); url != nil {
			found = append(found, packageSource{file: file, text: text, id: content[start[2]:start[3]], base: url[1], minor: url[2], folder: "rpm"})
		}
	}
	return found
}

// setting is the value of a key in the section, and whether it is there.
func (s packageSource) setting(key string) (string, bool) {
	for line := range strings.Lines(s.text) {
		if k, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// enabled: a repository that does not say so is (dnf.conf(5)).
func (s packageSource) enabled() bool {
	value, there := s.setting("enabled")
	return !there || slices.Contains([]string{"1", "yes", "true", "on"}, strings.ToLower(value))
}

// with is the section's text with other values for some keys.
func (s packageSource) with(text string, settings map[string]string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(line, "=")
		if _, ours := settings[strings.TrimSpace(key)]; !ours {
			kept.WriteString(line)
		}
	}
	said := strings.TrimRight(kept.String(), "\n") + "\n"
	for _, key := range sortedKeys(settings) {
		said += key + "=" + settings[key] + "\n"
	}
	return said
}

// compareRPM compares versions with release whose parts are numbers, as those of Kubernetes are; '~' sorts before
// everything (rpm-version(7)).
func compareRPM(a, b string) int {
	return slices.CompareFunc(versionParts(a), versionParts(b), func(x, y string) int {
		if x == "~" || y == "~" {
			return strings.Compare(y, x) // '~' is greater than all digits and letters
		}
		n, err1 := strconv.Atoi(x)
		m, err2 := strconv.Atoi(y)
		if firstError(err1, err2) != nil {
			return strings.Compare(x, y)
		}
		return n - m
	})
}

var versionPart = regexp.MustCompile(`[0-9]+|[A-Za-z]+|~`)

// versionParts end with a mark that a further part sorts after, unless it begins with '~'.
func versionParts(version string) []string {
	var all []string
	if !strings.Contains(version, ":") {
		all = append(all, "0") // the epoch
	}
	return append(append(all, versionPart.FindAllString(version, -1)...), "")
}
