package needs

import "testing"

func TestCheckNamesAllThatLacksAtOnce(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Check(Tool{"ip", "iproute2"}, Tool{"go", ""}, Tool{"debootstrap", "debootstrap"}, Tool{"ip", "iproute2"})
	want := "machine: lacks ip, go, debootstrap; run: apt-get install -y debootstrap iproute2; Go 1.26 is at https://go.dev/dl"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestCheckIsSatisfied(t *testing.T) {
	if err := Check(); err != nil {
		t.Error(err)
	}
}
