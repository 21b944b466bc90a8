// Package chart renders the Helm chart pawl-worker without a cluster, as `helm template` does.
//
// Rule: what it renders is what is tested (the golden files of its tests are applied to a real API), and what the base of
// kustomize is made of, so that there is one source of all manifests.
package chart

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

// Release is how and where a chart is installed.
type Release struct{ Name, Namespace string }

// Render is the manifests of the chart in a folder, in the order of the templates' names.
func Render(dir string, r Release, values io.Reader) (string, error) {
	all, err := templates(dir, r, values)
	if err != nil {
		return "", fmt.Errorf("render %s: %w", dir, err)
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text := strings.TrimSpace(all[name])
		if text == "" || !strings.HasSuffix(name, ".yaml") {
			continue
		}
		fmt.Fprintf(&out, "---\n%s\n", text)
	}
	return out.String(), nil
}

// templates is each template's text by its name.
func templates(dir string, r Release, values io.Reader) (map[string]string, error) {
	chart, err := loader.Load(dir)
	if err != nil {
		return nil, err
	}
	given, err := loader.LoadValues(values)
	if err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: true}
	known, err := util.ToRenderValues(chart, given, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{}.Render(chart, known)
}
