package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

func TestCEL(t *testing.T) {
	object := func(text string) map[string]any {
		var o map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &o))
		return o
	}
	pods := []map[string]any{object(`{"status":{"phase":"Running"}}`), object(`{"status":{"phase":"Pending"}}`)}
	ready := []map[string]any{object(`{"metadata":{"name":"api","labels":{"a/b":"c"}},"status":{"readyReplicas":2}}`)}
	for name, c := range map[string]struct {
		cel     string
		one     bool
		objects []map[string]any
		want    bool
		value   string
	}{
		"a number that is enough": {`object.status.readyReplicas >= 2`, true, ready, true, "true"},
		"too little":              {`object.status.readyReplicas >= 3`, true, ready, false, "false"},
		"a field that is missing": {`object.status.updatedReplicas >= 2`, true, ready, false, "unknown: no such key: updatedReplicas"},
		"an optional field":       {`object.?status.updatedReplicas.orValue(0) >= 0`, true, ready, true, "true"},
		"has":                     {`has(object.status.updatedReplicas)`, true, ready, false, "false"},
		"a label":                 {`object.metadata.labels["a/b"] == "c"`, true, ready, true, "true"},
		"strings":                 {`object.metadata.name.lowerAscii() == "api"`, true, ready, true, "true"},
		"no bool":                 {`object.metadata.name`, true, ready, false, "it gives string, wanted bool"},
		"all":                     {`objects.all(o, o.status.phase == "Running")`, false, pods, false, "false for 2 objects"},
		"some":                    {`objects.exists(o, o.status.phase == "Running")`, false, pods, true, "true for 2 objects"},
		"none there":              {`objects.all(o, o.status.phase == "Running")`, false, nil, true, "true for 0 objects"},
		"none there, counted":     {`objects.size() > 0 && objects.all(o, o.status.phase == "Running")`, false, nil, false, "false for 0 objects"},
		"for ever": {`objects.all(a, objects.all(b, objects.all(c, objects.all(d, objects.all(e, objects.all(f, true))))))`, false,
			make([]map[string]any, 100), false, "unknown: operation cancelled: actual cost limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			got, value := evaluate(t.Context(), c.cel, c.one, c.objects)
			require.Equal(t, c.want, got)
			require.Equal(t, c.value, value)
		})
	}
}

func TestBadCEL(t *testing.T) {
	for expression, want := range map[string]string{
		`object.status.readyReplicas >=`: "Syntax error: mismatched input",
		`objects.all(o, true)`:           "undeclared reference to 'objects' (did you mean 'object'?), at column 1",
		`size(object.status)`:            "it gives int, wanted bool",
		`nonsense(object)`:               "undeclared reference to 'nonsense'",
		``:                               "Syntax error",
	} {
		err := Compile(expression, true)
		require.ErrorContains(t, err, want, expression)
		require.NotContains(t, err.Error(), "\n")
	}
	require.NoError(t, Compile(`objects.all(o, true)`, false))
}

func TestPromQLIsJudged(t *testing.T) {
	vector := func(values ...float64) model.Vector {
		v := model.Vector{}
		for _, value := range values {
			v = append(v, &model.Sample{Value: model.SampleValue(value)})
		}
		return v
	}
	const errorRate = `sum(rate(http_requests_total{code=~"5.."}[2m])) < 1`
	for _, c := range []struct {
		expression string
		value      model.Value
		want       bool
		says       string
	}{
		{errorRate, vector(0), true, "0"}, // a filter keeps the value that was compared
		{errorRate, vector(0.4), true, "0.4"},
		{errorRate, vector(), false, "no series: the comparison is not true, or there is no data"},
		{`up == bool 1`, vector(1, 1), true, "1, 1"},
		{`up == bool 1`, vector(1, 0), false, "1, 0"},
		{`up`, vector(1, 1, 1, 1, 1), true, "1, 1, 1, and 2 more series"},
		{`up{job=~"a>b"}`, vector(0), false, "0"}, // neither is a comparison
		{`up{job!="a"}`, vector(0), false, "0"},
		{`up`, vector(), false, "no data"},
		{`absent(up)`, vector(1), true, "1"},
		{`0/0`, &model.Scalar{Value: model.SampleValue(nan())}, false, "NaN"},
		{`1 > bool 0`, &model.Scalar{Value: 1}, true, "1"},
		{`scalar(up)`, &model.Scalar{}, false, "0"},
		{`up[5m]`, model.Matrix{}, false, "unknown: it gives a matrix, wanted a vector or a scalar"},
	} {
		got, says := judge(c.expression, c.value)
		require.Equal(t, c.want, got, c.expression)
		require.Equal(t, c.says, says, c.expression)
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

func TestCheckPromQL(t *testing.T) {
	for expression, want := range map[string]string{
		`sum(rate(x{a="}"}[2m])) < 1`: "", "up": "", `x{a='"'}`: "", "x{a=`\\`}": "", "up # )": "",
		"": "it is empty", " # up": "", "sum(up": "( is not closed", "up)": ") closes nothing", "x{a=\"b}": "a quote \" is not closed", "x[5m)": ") closes nothing",
	} {
		err := CheckPromQL(expression)
		if want == "" {
			require.NoError(t, err, expression)
		} else {
			require.EqualError(t, err, want, expression)
		}
	}
}

func FuzzPromQL(f *testing.F) {
	for _, seed := range []string{`sum(rate(x{a="}"}[2m])) < 1`, "up == bool 1", "x{a=`\\`} # >", "'", "up)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		if err := CheckPromQL(expression); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q", err)
		}
		filters(expression)
	})
}

// standIn answers as Prometheus' HTTP API is documented to.
// Source: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
func standIn(t *testing.T, status int, answer string) (*httptest.Server, *http.Request) {
	t.Helper()
	var asked http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		asked = *r
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return server, &asked
}

func TestLook(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("t0k3n\n"), 0o600))
	for name, c := range map[string]struct {
		status int
		answer string
		want   bool
		says   string
	}{
		"true":           {200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1435781451.781,"0"]}]}}`, true, "0"},
		"no series":      {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, false, "no series: the comparison is not true, or there is no data"},
		"a scalar":       {200, `{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"1"]}}`, true, "1"},
		"does not parse": {400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:3: parse error: unexpected end of input"}`, false, `unknown: bad_data: invalid parameter "query": 1:3: parse error: unexpected end of input`},
		"not well":       {503, `{"status":"error","errorType":"timeout","error":"query timed out"}`, false, "unknown: server_error: server error: 503"},
		"refused":        {401, `Unauthorized`, false, "unknown: client_error: client error: 401"},
		"a redirection":  {307, ``, false, "unknown: bad_response: "},
		"something else": {200, `<html>`, false, "unknown: bad_response: "},
	} {
		t.Run(name, func(t *testing.T) {
			server, asked := standIn(t, c.status, c.answer)
			g := Gate{Checks: []Check{{Name: "error rate", PromQL: "sum(x) < 1"}}, Prometheus: Prometheus{Address: server.URL, BearerTokenFile: token}}
			got := g.Look(t.Context())[0]
			require.Equal(t, "error rate", got.Name)
			require.Equal(t, c.want, got.True)
			if strings.HasSuffix(c.says, " ") {
				require.True(t, strings.HasPrefix(got.Value, c.says), got.Value)
			} else {
				require.Equal(t, c.says, got.Value)
			}
			require.Equal(t, "/api/v1/query", asked.URL.Path)
			require.Equal(t, "sum(x) < 1", asked.Form.Get("query"))
			require.Equal(t, "Bearer t0k3n", asked.Header.Get("Authorization"))
		})
	}
}

func TestWhatIsNotKnownIsNotTrue(t *testing.T) {
	fetch := func(_ context.Context, o upgrade.Objects) ([]map[string]any, error) {
		if o.Kind == "Pod" {
			return nil, errors.New("list pods: forbidden")
		}
		return nil, nil
	}
	g := Gate{
		Checks: []Check{
			{Name: "prometheus", PromQL: "up"},
			{Name: "pods", CEL: "objects.all(o, true)", Objects: &upgrade.Objects{Kind: "Pod"}},
			{Name: "api", CEL: "true", Objects: &upgrade.Objects{Kind: "Deployment", Namespace: "payments", Name: "api"}},
			{Name: "none", CEL: "objects.all(o, false)", Objects: &upgrade.Objects{Kind: "Deployment"}},
		},
		Prometheus: Prometheus{Address: "http://127.0.0.1:1"}, Fetch: fetch,
	}
	got := g.Look(t.Context())
	require.Equal(t, "prometheus is not true (unknown: dial tcp 127.0.0.1:1: connect: connection refused), "+
		"pods is not true (unknown: list pods: forbidden), api is not true (Deployment payments/api does not exist)", upgrade.NotTrue(got))
	require.True(t, got[3].True)
}
