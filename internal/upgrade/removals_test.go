package upgrade

import (
	"maps"
	"testing"
)

func TestRemovedFlag(t *testing.T) {
	for name, c := range map[string]struct {
		component, flag, from, to string
		want                      string // the minor; empty when it is still there
	}{
		"at the hop":              {Kubelet, "--pod-infra-container-image", "v1.34.4", "v1.35.4", "v1.35"},
		"on the way":              {Kubelet, "pod-infra-container-image", "v1.33.0", "v1.37.2", "v1.35"},
		"before the way":          {Kubelet, "pod-infra-container-image", "v1.35.0", "v1.37.2", ""},
		"after the way":           {Kubelet, "containerd", "v1.35.4", "v1.36.3", ""},
		"written with _":          {Kubelet, "--storage_driver_db", "v1.36.3", "v1.37.2", "v1.37"},
		"of another component":    {APIServer, "pod-infra-container-image", "v1.34.4", "v1.35.4", ""},
		"the same minor":          {APIServer, "cloud-provider", "v1.33.0", "v1.33.13", ""},
		"a pre-release of it":     {APIServer, "cloud-provider", "v1.33.0-rc.1", "v1.33.13", ""},
		"the API server's":        {APIServer, "cloud-provider", "v1.32.13", "v1.33.13", "v1.33"},
		"which another keeps":     {ControllerManager, "cloud-provider", "v1.32.13", "v1.33.13", ""},
		"etcd's by its beginning": {etcd, "experimental-compaction-batch-limit", "v1.36.3", "v1.37.2", "v1.37"},
		"one that stays":          {etcd, "name", "v1.30.0", "v1.37.2", ""},
		"begins like one":         {Kubelet, "containerd-x", "v1.36.3", "v1.37.2", ""},
	} {
		got, gone := RemovedFlag(c.component, c.flag, MustVersion(c.from), MustVersion(c.to))
		if gone != (c.want != "") || gone && (got.In.MinorString() != c.want || got.Source == "") {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

func TestRemovedAndLockedGates(t *testing.T) {
	if got, gone := RemovedGate("SidecarContainers", MustVersion("v1.36.3"), MustVersion("v1.37.2")); !gone || got.In.MinorString() != "v1.37" || got.Source == "" {
		t.Errorf("%+v", got)
	}
	for _, gate := range []string{"InPlacePodVerticalScaling", "AllAlpha", "WatchListClient"} {
		if got, gone := RemovedGate(gate, MustVersion("v1.32.0"), MustVersion("v1.37.2")); gone {
			t.Errorf("%+v", got)
		}
	}
	from, to := MustVersion("v1.34.4"), MustVersion("v1.35.4")
	if got, locked := LockedGate("JobManagedBy", false, from, to); !locked || got.In.MinorString() != "v1.35" {
		t.Errorf("%+v", got)
	}
	if got, locked := LockedGate("JobManagedBy", true, from, to); locked {
		t.Errorf("%+v", got)
	}
	if got, locked := LockedGate("JobManagedBy", false, to, MustVersion("v1.37.2")); locked {
		t.Errorf("%+v", got)
	}
}

func TestParseGates(t *testing.T) {
	got := ParseGates("A=true, B=false,C,D=maybe,=true,")
	if want := map[string]bool{"A": true, "B": false}; !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func FuzzParseGates(f *testing.F) {
	f.Add("A=true,B=false")
	f.Add(",=,==1")
	f.Fuzz(func(t *testing.T, text string) {
		for name := range ParseGates(text) {
			if name == "" || len(name) > len(text) {
				t.Errorf("%q: %q", text, name)
			}
		}
	})
}
