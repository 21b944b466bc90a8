package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pawl-dev/pawl/starter/internal/exit"
)

func TestCodecSaysWhatWasWanted(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	code, line, errOut := pawl("codec", "new-key", "--id", "one")
	if code != exit.Done {
		t.Fatal(errOut)
	}
	keys, empty := write("keys", line, 0o600), write("empty", "\n", 0o600)
	for _, tc := range []struct {
		args []string
		says string
	}{
		{nil, "there are no keys; name their file with --encryption-keys or PAWL_ENCRYPTION_KEYS"},
		{[]string{"--encryption-keys", filepath.Join(dir, "none")}, "read encryption keys " + dir + "/none: no such file or directory"},
		{[]string{"--encryption-keys", empty}, "it holds no key"},
		{[]string{"--encryption-keys", write("open", line, 0o644)}, "its mode is 0644, so others can read or change it"},
		{[]string{"--encryption-keys", keys, "--listen", "0.0.0.0:0"}, "others could read everything; give it a token with --token-file, or say --behind-proxy"},
		{[]string{"--encryption-keys", keys, "--listen", "8081"}, `--listen is "8081", wanted host:port`},
		{[]string{"--encryption-keys", keys, "--origin", "https://ui.example.org/"}, `--origin is "https://ui.example.org/", wanted scheme, host and port alone`},
		{[]string{"--encryption-keys", keys, "--origin", "*"}, `--origin is "*", wanted`},
		{[]string{"--encryption-keys", keys, "--token-file", empty}, "empty is empty"},
	} {
		expect(t, exit.BadInput, "", tc.says, append([]string{"codec", "serve"}, tc.args...)...)
	}
	expect(t, exit.BadInput, "", `"a b" is no id`, "codec", "new-key", "--id", "a b")
	t.Setenv("PAWL_ENCRYPTION_KEYS", empty)
	expect(t, exit.BadInput, "", "read encryption keys "+empty+": it holds no key", "list")
}
