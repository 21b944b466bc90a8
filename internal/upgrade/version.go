package upgrade

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Version is a Kubernetes release such as v1.37.2, or a minor such as v1.37 of which somebody else chooses the release. The
// zero value means "not known". Versions compare with ==; in JSON and text they read "v1.37.2", and the zero value reads "".
type Version struct {
	major, minor, patch uint64
	pre                 string
	whole               bool // the minor, whichever release of it
}

// ParseVersion reads "v1.37.2" or "1.37.2". All three numbers are required; a leading "v" is not. Build metadata
// ("+k3s1", "+deb12") is accepted and dropped, since the skew policy knows nothing of it.
func ParseVersion(s string) (Version, error) {
	v, err := semver.StrictNewVersion(trimV(s))
	if err != nil {
		return Version{}, fmt.Errorf("%q is not a Kubernetes version, wanted one like v1.37.2", s)
	}
	return Version{major: v.Major(), minor: v.Minor(), patch: v.Patch(), pre: v.Prerelease()}, nil
}

// ParseTarget reads what a person wants to reach: a version, or a minor such as "v1.37".
func ParseTarget(s string) (Version, error) {
	if strings.Count(s, ".") == 1 {
		if v, err := ParseVersion(s + ".0"); err == nil {
			return v.Whole(), nil
		}
	}
	return ParseVersion(s)
}

// ParseVersions reads several; the error is the first one's.
func ParseVersions(texts []string) ([]Version, error) {
	var versions []Version
	for _, s := range texts {
		v, err := ParseVersion(s)
		if err != nil {
			return nil, err
		}
		versions = append(versions, v)
	}
	return versions, nil
}

// MustVersion is ParseVersion for constants and tests; it panics on a bad version.
func MustVersion(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

func trimV(s string) string {
	if len(s) > 0 && s[0] == 'v' {
		return s[1:]
	}
	return s
}

// String renders "v1.37.2", or "" for the zero value.
func (v Version) String() string {
	if v.IsZero() {
		return ""
	}
	return "v" + v.Number()
}

// Number renders "1.37.2", as package managers write it.
func (v Version) Number() string {
	if v.whole {
		return v.MinorNumber()
	}
	s := fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch)
	if v.pre != "" {
		s += "-" + v.pre
	}
	return s
}

// Minor is the number of the minor release: 37.
func (v Version) Minor() uint64 { return v.minor }

// MinorString renders "v1.37", as package repositories name their folders.
func (v Version) MinorString() string { return fmt.Sprintf("v%d.%d", v.major, v.minor) }

// MinorNumber renders "1.37", as providers of control planes write versions.
func (v Version) MinorNumber() string { return strings.TrimPrefix(v.MinorString(), "v") }

// Whole is the minor of v, whichever release of it.
func (v Version) Whole() Version { return Version{major: v.major, minor: v.minor, whole: true} }

// IsWhole reports whether it is a minor, of which no release is named.
func (v Version) IsWhole() bool { return v.whole }

// Reaches reports whether v is what w asks for: the same, or a release of w where that is a minor.
func (v Version) Reaches(w Version) bool { return v == w || w.whole && v.SameMinor(w) }

// IsZero reports whether the version is not known.
func (v Version) IsZero() bool { return v == Version{} }

// Compare is -1, 0 or +1 as v is older than, equal to or newer than w, by semantic versioning's precedence.
func (v Version) Compare(w Version) int { return v.semver().Compare(w.semver()) }

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// SameMinor reports whether both belong to one minor release.
func (v Version) SameMinor(w Version) bool { return v.major == w.major && v.minor == w.minor }

// MinorsBehind is how many minor releases v is behind w; negative when v is ahead. It is meaningful within one
// major version only.
func (v Version) MinorsBehind(w Version) int { return int(w.minor) - int(v.minor) }

// SameMajor reports whether both belong to one major release.
func (v Version) SameMajor(w Version) bool { return v.major == w.major }

// AtLeastMinor reports whether v belongs to the given minor release or a later one.
func (v Version) AtLeastMinor(major, minor uint64) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

// nextMinor is the first release of the minor after v's, or that minor.
func (v Version) nextMinor() Version {
	return Version{major: v.major, minor: v.minor + 1, whole: v.whole}
}

func (v Version) semver() *semver.Version {
	return semver.New(v.major, v.minor, v.patch, v.pre, "")
}

// MarshalText implements encoding.TextMarshaler.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. An empty text is the zero value.
func (v *Version) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*v = Version{}
		return nil
	}
	parsed, err := ParseTarget(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
