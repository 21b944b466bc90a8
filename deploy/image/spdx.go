package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// SPDX 2.3, as far as needed: https://spdx.github.io/spdx-spec/v2.3/.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID               string         `json:"SPDXID"`
		Name             string         `json:"name"`
		Version          string         `json:"versionInfo,omitempty"`
		Download         string         `json:"downloadLocation"`
		FilesAnalyzed    bool           `json:"filesAnalyzed"`
		LicenseConcluded string         `json:"licenseConcluded"`
		LicenseDeclared  string         `json:"licenseDeclared"`
		Copyright        string         `json:"copyrightText"`
		Checksums        []spdxChecksum `json:"checksums,omitempty"`
		References       []spdxRef      `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Of   string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

// none is what SPDX has where nothing is claimed.
const none = "NOASSERTION"

// spdx lists what is in an image: by what Go wrote into the programs, the module of each, those that it is made of, and
// Go's own library, with the authorities' certificates beside them.
func spdx(r Release, arch string, digest v1.Hash, builds []build) ([]byte, error) {
	d := spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: "pawl " + r.Version + " linux/" + arch,
		Namespace: "https://github.com/pawl-dev/pawl/spdx/" + digest.Hex,
		Creation:  spdxCreation{Created: r.Created.Format(time.RFC3339), Creators: []string{"Tool: pawl deploy/image"}},
	}
	image := spdxPackage{
		ID: "SPDXRef-image", Name: "pawl", Version: r.Version, LicenseDeclared: "Apache-2.0",
		Checksums:  []spdxChecksum{{"SHA256", digest.Hex}},
		References: []spdxRef{{"PACKAGE-MANAGER", "purl", "pkg:oci/pawl@" + strings.ReplaceAll(digest.String(), ":", "%3A") + "?arch=" + arch}},
	}
	found := map[string]spdxPackage{}
	relate := func(of, kind, to string) { d.Relationships = append(d.Relationships, spdxRelationship{of, kind, to}) }
	relate(d.ID, "DESCRIBES", image.ID)
	authorities, err := ownModule("golang.org/x/crypto/x509roots/fallback")
	if err != nil {
		return nil, err
	}
	found[authorities.ID] = authorities
	relate(image.ID, "CONTAINS", authorities.ID)
	for _, b := range builds {
		program := spdxPackage{ID: "SPDXRef-program-" + filepath.Base(b.file), Name: filepath.Base(b.file), Version: r.Version, LicenseDeclared: "Apache-2.0"}
		found[program.ID] = program
		relate(image.ID, "CONTAINS", program.ID)
		library := goModule("std", strings.TrimPrefix(b.info.GoVersion, "go"))
		library.Name, library.References = "stdlib", []spdxRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/stdlib@" + library.Version}}
		parts := []spdxPackage{library}
		for _, m := range b.info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			parts = append(parts, goModule(m.Path, m.Version))
		}
		for _, p := range parts {
			found[p.ID] = p
			relate(program.ID, "DEPENDS_ON", p.ID)
		}
	}
	for _, p := range found {
		d.Packages = append(d.Packages, p)
	}
	slices.SortFunc(d.Packages, func(a, b spdxPackage) int { return cmp.Compare(a.ID, b.ID) })
	d.Packages = append([]spdxPackage{image}, d.Packages...)
	for i := range d.Packages {
		p := &d.Packages[i]
		p.Download, p.LicenseConcluded, p.Copyright = none, none, none
		p.LicenseDeclared = cmp.Or(p.LicenseDeclared, none)
	}
	return json.MarshalIndent(d, "", " ")
}

// goModule is a module as SPDX and package URLs have it: https://github.com/package-url/purl-spec.
func goModule(path, version string) spdxPackage {
	return spdxPackage{
		ID: "SPDXRef-go-" + identifier(path+"-"+version), Name: path, Version: version,
		References: []spdxRef{{"PACKAGE-MANAGER", "purl", fmt.Sprintf("pkg:golang/%s@%s", path, strings.ReplaceAll(version, "+", "%2B"))}},
	}
}

// identifier is text with what an SPDX identifier may have.
func identifier(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, text)
}
