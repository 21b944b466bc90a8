package panels

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const scrape = `# TYPE a_total counter
a_total{cluster="prod",outcome="done"} 1
# TYPE b_seconds histogram
b_seconds_bucket{step="x",le="1"} 1
b_seconds_bucket{step="x",le="+Inf"} 1
b_seconds_sum{step="x"} 1
b_seconds_count{step="x"} 1
`

func TestMissing(t *testing.T) {
	for query, want := range map[string][]string{
		`sum by (cluster) (rate(a_total{outcome!="gone",cluster=~"$cluster"}[$__rate_interval]))`: nil,
		`histogram_quantile(0.9, sum by (le, step) (rate(b_seconds_bucket[5m])))`:                 nil,
		`rate(a_total[5m]) and on (instance) b_seconds_count`:                                     nil,
		`sum by (pool) (a_total)`:   {"no metric of the query has the label pool"},
		`a_total{outcome="failed"}`: {`a_total has no series with outcome="failed"`},
		`a_total{node="w1"} / c`:    {"a_total has no label node", "there is no metric c"},
	} {
		dashboard := []byte(`{"panels":[{"title":"P","type":"timeseries","targets":[{"expr":` + quoted(query) + `}]}]}`)
		got, err := Missing(dashboard, []byte("groups: []"), scrape)
		require.NoError(t, err, query)
		var prefixed []string
		for _, w := range want {
			prefixed = append(prefixed, `panel "P": `+w)
		}
		require.Equal(t, prefixed, got, query)
	}
	got, err := Missing([]byte("{}"), []byte(`groups: [{rules: [{alert: A, expr: "d > 1"}]}]`), scrape)
	require.NoError(t, err)
	require.Equal(t, []string{"rule A: there is no metric d"}, got)
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	for _, c := range [][3]string{
		{"{", "{}", ""}, {"{}", "groups: 3", ""}, {"{}", "{}", "a b c"},
		{`{"panels":[{"title":"empty","type":"stat"}]}`, "{}", ""},
		{"{}", `groups: [{rules: [{alert: A, expr: "sum by ("}]}]`, ""},
	} {
		_, err := Missing([]byte(c[0]), []byte(c[1]), c[2])
		require.Error(t, err, c)
	}
}

func quoted(s string) string {
	out := `"`
	for _, r := range s {
		if r == '"' {
			out += `\`
		}
		out += string(r)
	}
	return out + `"`
}
