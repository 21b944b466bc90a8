package machine

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// rpmRepository is a section of a .repo file, with what options say about it.
type rpmRepository struct {
	id       string
	settings map[string]string
}

func (r rpmRepository) enabled() bool { return r.settings["enabled"] != "0" }

func (r rpmRepository) excluded() []string {
	return strings.Fields(r.settings["exclude"] + " " + r.settings["excludepkgs"])
}

// rpmRepositories reads the .repo files of a folder.
func (p *process) rpmRepositories(folder string) []rpmRepository {
	entries, err := p.readDir(folder)
	if err != nil {
		return nil
	}
	var all []rpmRepository
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || path.Ext(e.Name()) != ".repo" {
			continue
		}
		content, _ := p.readFile(folder + "/" + e.Name())
		for line := range strings.Lines(string(content)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
				all = append(all, rpmRepository{line[1 : len(line)-1], map[string]string{}})
			} else if key, value, ok := strings.Cut(line, "="); ok && len(all) > 0 && !strings.HasPrefix(line, "#") {
				all[len(all)-1].settings[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return all
}

// rpmOffered are the versions in the repository, oldest first; an error when there is no such repository.
func (m *Machine) rpmOffered(r rpmRepository) ([]upgrade.Version, error) {
	rest, ok := strings.CutPrefix(r.settings["baseurl"], m.opts.Repository+"/")
	minor, folder, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if !ok || folder != "rpm" || !m.offersMinor(minor) {
		return nil, fmt.Errorf("Status code: 404 for %s/repodata/repomd.xml (IP: 10.0.0.1)", //nolint:staticcheck // dnf writes it so
			strings.TrimSuffix(r.settings["baseurl"], "/"))
	}
	offered := slices.DeleteFunc(slices.Clone(m.opts.Offered), func(v upgrade.Version) bool { return v.MinorString() != minor })
	slices.SortFunc(offered, upgrade.Version.Compare)
	return slices.Compact(offered), nil
}
