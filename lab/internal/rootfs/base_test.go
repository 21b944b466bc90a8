package rootfs

import "testing"

func TestMirrorIn(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"one line", "# x\ndeb [arch=amd64] http://deb.example/debian bookworm main\n", "http://deb.example/debian"},
		{"deb822, security first", "Types: deb\nURIs: http://deb.example/debian-security\n\nTypes: deb\nURIs: https://deb.example/debian\n", "https://deb.example/debian"},
		{"none", "deb cdrom:[x] bookworm main\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mirrorIn(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
