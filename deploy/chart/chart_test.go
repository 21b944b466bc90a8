package chart

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

var update = flag.Bool("update", false, "write what is rendered into the golden files and the base of kustomize")

const (
	dir  = "../helm/pawl-worker"
	base = "../kustomize/base/pawl-worker.yaml"
)

var release = Release{Name: "pawl-worker", Namespace: "pawl"}

// cases are values files in testdata, and beside each what is rendered. integration applies the latter to a real API.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 3)
	return files
}

func render(t *testing.T, file string) string {
	t.Helper()
	values, err := os.Open(file)
	require.NoError(t, err)
	defer values.Close()
	text, err := Render(dir, release, values)
	require.NoError(t, err)
	return text
}

func TestRender(t *testing.T) {
	for _, file := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden(t, strings.TrimSuffix(file, ".values.yaml")+".golden.yaml", render(t, file))
		})
	}
}

// TestBase: the base of kustomize is the chart by its defaults, but for who manages it and where, which overlays say.
func TestBase(t *testing.T) {
	helms := regexp.MustCompile(`(?m)^ *(app.kubernetes.io/managed-by: Helm|namespace: pawl)\n`)
	golden(t, base, "# Made of the Helm chart's defaults by `make manifests`: change that, not this.\n"+helms.ReplaceAllString(render(t, "testdata/defaults.values.yaml"), ""))
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "%s; after a change that is meant: make manifests", file)
}

func TestLint(t *testing.T) {
	for _, file := range cases(t) {
		values, err := os.Open(file)
		require.NoError(t, err)
		given, err := loader.LoadValues(values)
		require.NoError(t, err)
		require.NoError(t, values.Close())
		for _, m := range lint.RunAll(dir, given, release.Namespace).Messages {
			require.Less(t, m.Severity, support.WarningSev, "%s: %v", m.Path, m.Err)
		}
	}
}

func TestRefused(t *testing.T) {
	for values, want := range map[string]string{
		"":                         "image: wanted where make image-push has put it",
		"image: pawl":              "at '/image'",
		"{image: 'p:1', imgae: x}": "additional properties 'imgae' not allowed",
		"{image: 'p:1', temporal: {address: 'https://temporal:7233'}}": "at '/temporal/address'",
		"{image: 'p:1', clusterFiles: [{secret: a, configMap: b}]}":    "oneOf",
		"{image: 'p:1', clusters: {Prod: {provider: eks}}}":            "Prod",
		"{image: 'p:1', serviceAccount: {create: false}}":              "serviceAccount.name: wanted the name",
	} {
		_, err := Render(dir, release, strings.NewReader(values))
		require.ErrorContains(t, err, want, values)
	}
}

// TestDocumented: the README has a row for every value, and no row for what is none.
func TestDocumented(t *testing.T) {
	chart, err := loader.Load(dir)
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	require.NoError(t, err)
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`[^|]*) \|`).FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(row[1], -1) {
			documented[name[1]] = true
		}
	}
	known := map[string]bool{}
	leaves("", chart.Values, known)
	require.Equal(t, known, documented)
}

// leaves are the paths of values that are no groups of values. What a pod has as a whole is one value.
func leaves(path string, values map[string]any, into map[string]bool) {
	for key, value := range values {
		group, ok := value.(map[string]any)
		if !ok || len(group) == 0 || key == "resources" {
			into[path+key] = true
			continue
		}
		leaves(path+key+".", group, into)
	}
}

func TestNotes(t *testing.T) {
	all, err := templates(dir, release, strings.NewReader("{image: 'p:1', replicas: 1, ownCluster: {enabled: true}}"))
	require.NoError(t, err)
	notes := all["pawl-worker/templates/NOTES.txt"]
	require.Contains(t, notes, "kubectl -n pawl exec deploy/pawl-worker -- pawl plan CLUSTER --to VERSION")
	require.Contains(t, notes, "They know no cluster yet")
	require.Contains(t, notes, "it will evict itself on the way")
}
