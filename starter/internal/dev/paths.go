package dev

import (
	"os"
	"path/filepath"

	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// DataFolder is where the server's file and the logs are by default.
func DataFolder(getenv func(string) string, home string) string {
	state := getenv("XDG_STATE_HOME")
	if state == "" || !filepath.IsAbs(state) {
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "pawl")
}

// ClustersFolder is where the definitions of clusters are by default.
func ClustersFolder(getenv func(string) string, home string) string {
	if folder := getenv("PAWL_CLUSTERS"); folder != "" {
		return folder
	}
	if info, err := os.Stat("clusters"); err == nil && info.IsDir() {
		return "clusters"
	}
	config := getenv("XDG_CONFIG_HOME")
	if config == "" || !filepath.IsAbs(config) {
		config = filepath.Join(home, ".config")
	}
	return filepath.Join(config, "pawl", "clusters")
}

// clusterNames are the clusters that the folder describes. A folder that is not there is said so in one line.
func clusterNames(folder string) ([]string, error) {
	info, err := os.Stat(folder)
	if err != nil || !info.IsDir() {
		return nil, exit.Errorf(exit.BadInput,
			"dev: no folder %s; make it and describe each cluster in a file NAME.yaml there, or name another with --clusters", folder)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f[:len(f)-len(".yaml")]))
	}
	return names, nil
}
