package upgrade

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"v1.37.2":            "v1.37.2",
		"1.37.2":             "v1.37.2",
		"v1.37.2+k3s1":       "v1.37.2",
		"v1.38.0-alpha.1":    "v1.38.0-alpha.1",
		"v1.38.0-rc.0+build": "v1.38.0-rc.0",
	} {
		v, err := ParseVersion(text)
		require.NoError(t, err, text)
		require.Equal(t, want, v.String())
	}
	for _, text := range []string{"", "v", "1.37", "v1", "latest", "1.37.2.1", "vv1.37.2", " v1.37.2", "v1.037.2", "-1.0.0"} {
		_, err := ParseVersion(text)
		require.ErrorContains(t, err, "is not a Kubernetes version, wanted one like v1.37.2", text)
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{"v1.37": "v1.37", "1.37": "v1.37", "1.37.2": "v1.37.2"} {
		v, err := ParseTarget(text)
		require.NoError(t, err, text)
		require.Equal(t, want, v.String())
		require.Equal(t, v.IsWhole(), want == "v1.37")
		var back Version
		require.NoError(t, back.UnmarshalText([]byte(want)))
		require.Equal(t, v, back)
	}
	for _, text := range []string{"", "1", "v1.", "1.37.", "v1.x", "1.37-rc.1", "1.37-rc", "1.37+k3s1", "latest"} {
		_, err := ParseTarget(text)
		require.ErrorContains(t, err, "is not a Kubernetes version, wanted one like v1.37.2", text)
	}
	whole := MustVersion("v1.37.2").Whole()
	require.Equal(t, "1.37", whole.Number())
	require.Equal(t, "v1.38", whole.nextMinor().String())
	require.True(t, MustVersion("v1.37.2").Reaches(whole))
	require.False(t, MustVersion("v1.36.2").Reaches(whole))
	require.False(t, whole.Reaches(MustVersion("v1.37.2")))
}

func TestVersionOrder(t *testing.T) {
	ordered := []string{"v1.9.11", "v1.10.0-rc.1", "v1.10.0", "v1.36.3", "v1.37.0", "v1.37.2", "v2.0.0"}
	for i := range ordered {
		for j := range ordered {
			a, b := MustVersion(ordered[i]), MustVersion(ordered[j])
			require.Equal(t, i < j, a.Less(b), "%s < %s", a, b)
			require.Equal(t, i == j, a == b)
		}
	}
	require.Equal(t, 3, MustVersion("v1.34.1").MinorsBehind(MustVersion("v1.37.2")))
	require.Equal(t, "v1.37", MustVersion("v1.37.2").MinorString())
}

func TestVersionInJSON(t *testing.T) {
	b, err := json.Marshal(struct{ A, B Version }{A: MustVersion("v1.37.2")})
	require.NoError(t, err)
	require.JSONEq(t, `{"A":"v1.37.2","B":""}`, string(b))
	var back struct{ A, B Version }
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, MustVersion("v1.37.2"), back.A)
	require.True(t, back.B.IsZero())
	require.Error(t, json.Unmarshal([]byte(`{"A":"new"}`), &back))
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"v1.37.2", "1.36.0-rc.1+x", "", "v1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		again, err := ParseVersion(v.String())
		require.NoError(t, err)
		require.Equal(t, v, again)
		require.Zero(t, v.Compare(again))
	})
}
