package topology

import "testing"

func TestEveryNodeHasItsOwn(t *testing.T) {
	seen := map[string]Node{}
	for _, n := range All() {
		for _, own := range []string{n.Address(), n.PodNet(), n.NetNS(), n.Cable(), n.Cgroup(), n.MAC()} {
			if other, ok := seen[own]; ok {
				t.Errorf("%s is that of %s and of %s", own, n, other)
			}
			seen[own] = n
		}
		if len(n.Cable()) > 15 {
			t.Errorf("%s: too long for a network device", n.Cable())
		}
		if got, err := Parse(string(n)); err != nil || got != n {
			t.Errorf("Parse(%s) = %s, %v", n, got, err)
		}
		if !n.ControlPlane() && Worker(n.Number()) != n {
			t.Errorf("%s has the number %d", n, n.Number())
		}
	}
	for _, name := range []string{"", "w0", "w41", "w01", "cp4", "W1", "../w1"} {
		if _, err := Parse(name); err == nil {
			t.Errorf("Parse(%q) takes it", name)
		}
	}
}
