package binaries

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// unitCases start a shell that sleeps, so that a real systemd can be asked for the arguments that it gave to it.
const sleeper = `/bin/sh -c "sleep 600; :" `

var unitCases = map[string]UnitCase{
	"plain":                     {Unit: "ExecStart=" + sleeper + "--a=1 --b 2", Want: []string{"--a=1", "--b", "2"}},
	"continuation lines":        {Unit: "ExecStart=" + sleeper + "--a=1 \\\n  --b=2 \\\n\t--c=3\nRestart=no", Want: []string{"--a=1", "--b=2", "--c=3"}},
	"a comment in between":      {Unit: "ExecStart=" + sleeper + "--a=1 \\\n# --b=2 \\\n; --d=4\n  --c=3", Want: []string{"--a=1", "--c=3"}},
	"blanks around the key":     {Unit: "  ExecStart =   " + sleeper + " --a=1   ", Want: []string{"--a=1"}},
	"quotes":                    {Unit: `ExecStart=` + sleeper + `"--a=x y" '--b="z"' --c="q r" --d='it"s' ""`, Want: []string{"--a=x y", `--b="z"`, "--c=q r", `--d=it"s`, ""}},
	"escapes":                   {Unit: `ExecStart=` + sleeper + `--a=x\x20y "--b=\"q\"" --c=\\ --d=a\tb --e=\u00fc --f=\101`, Want: []string{"--a=x y", `--b="q"`, `--c=\`, "--d=a\tb", "--e=ü", "--f=A"}},
	"variables":                 {Unit: "Environment=A=one \"B=two three\" C='x y'\nExecStart=" + sleeper + "$A ${A} $B ${B} --c=${C} --d=$A $NONE ${NONE} $$A", Want: []string{"one", "one", "two", "three", "two three", "--c=x y", "--d=$A", "", "$A"}},
	"an environment file":       {Unit: "EnvironmentFile=" + EnvFileMark + "\nEnvironment=A=overridden\nExecStart=" + sleeper + "$A --b=${B} $ARGS --e=${E}", EnvFile: "# comment\nA=file\n; B=no\nB=\"two words\"\nARGS=--x=1 \\\n  --y='a b'\n  E = trimmed  \nbad line\n", Want: []string{"file", "--b=two words", "--x=1", "--y=a b", "--e=trimmed"}},
	"quotes in the file":        {Unit: "EnvironmentFile=" + EnvFileMark + "\nExecStart=" + sleeper + "${A} ${B} ${C} ${D} ${E}", EnvFile: "A='single \\n $x'\nB=\"do\\\"uble \\x \\$y\"\nC=pre\"mid dle\"post\nD=\"two\nlines\"\nE='one'\"two\"  \n", Want: []string{`single \n $x`, `do"uble \x $y`, `pre"mid dle"post`, "two\nlines", "onetwo"}},
	"escapes in the file":       {Unit: "EnvironmentFile=" + EnvFileMark + "\nExecStart=" + sleeper + "${A} ${B} ${C} ${D}", EnvFile: "A=a\\ b\\\\c \\\n d\nB=\"x\\\ny\"\nC=\nD=e\\  \n", Want: []string{`a b\c  d`, "xy", "", "e "}},
	"a file that may be away":   {Unit: "EnvironmentFile=-" + FolderMark + "/none\nExecStart=" + sleeper + "--a=${A}", Want: []string{"--a="}},
	"a reset variable":          {Unit: "Environment=A=1\nEnvironment=\nEnvironment=B=2\nExecStart=" + sleeper + "--a=${A} --b=${B}", Want: []string{"--a=", "--b=2"}},
	"a drop-in":                 {Unit: "Environment=A=1 B=1\nExecStart=" + sleeper + "--a=${A} --b=${B}", Drop: "[Service]\nEnvironment=A=2\n", Want: []string{"--a=2", "--b=1"}},
	"a drop-in's own command":   {Unit: "ExecStart=" + sleeper + "--a=1", Drop: "[Service]\nExecStart=\nExecStart=" + sleeper + "--a=2\n", Want: []string{"--a=2"}},
	"a prefix":                  {Unit: "ExecStart=-" + sleeper + "--a=1", Want: []string{"--a=1"}},
	"without variables":         {Unit: "Environment=A=1\nExecStart=:" + sleeper + "${A} $$", Want: []string{"${A}", "$$"}},
	"specifiers":                {Unit: "ExecStart=" + sleeper + "--a=%p --b=%% --c=%N.x --d=%t", Want: []string{"--a=pawl-test", "--b=%", "--c=pawl-test.x", "--d=/run"}},
	"a specifier in a variable": {Unit: "Environment=A=%p\nExecStart=" + sleeper + "--a=${A}", Want: []string{"--a=pawl-test"}},
	"an escaped semicolon":      {Unit: `ExecStart=` + sleeper + `--a=1 \; --b=;`, Want: []string{"--a=1", ";", "--b=;"}},
	"a backslash before a line": {Unit: "ExecStart=" + sleeper + "--a=x\\\ny", Want: []string{"--a=x", "y"}},
	"another section":           {Unit: "ExecStart=" + sleeper + "--a=1\n[Install]\nExecStart=/bin/false", Want: []string{"--a=1"}},
}

func TestUnitFiles(t *testing.T) {
	for name, c := range unitCases {
		var u unitFile
		u.add("[Unit]\nExecStart=/bin/false\n[Service]\n" + c.Unit + "\n")
		u.add(c.Drop)
		got := u.commands("pawl-test.service", "cp1.example", parseEnvFile(c.EnvFile))
		want := append([]string{"-c", "sleep 600; :"}, c.Want...)
		if len(got) != 1 || got[0].path != "/bin/sh" || !slices.Equal(got[0].argv, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

func TestUnitsOfTemplates(t *testing.T) {
	var u unitFile
	u.add("[Service]\nExecStart=@/opt/%p etcd --name=%i --host=%H --short=%l --path=/%I --x=%j\n")
	got := u.commands("etcd@var-lib-a\\x2db.service", "cp1.example", nil)
	if want := []string{"--name=var-lib-a\\x2db", "--host=cp1.example", "--short=cp1", "--path=/var/lib/a-b", "--x=%j"}; len(got) != 1 || got[0].path != "/opt/etcd" || !slices.Equal(got[0].argv, want) {
		t.Errorf("%q, want %q", got, want)
	}
	u = unitFile{}
	u.add("[Service]\nExecStart=/bin/a --x ; /bin/b --y\nExecStart=/bin/c\n")
	if got := u.commands("x.service", "", nil); len(got) != 3 || got[1].path != "/bin/b" || got[2].path != "/bin/c" {
		t.Errorf("%q", got)
	}
}

func TestFlags(t *testing.T) {
	flags := parseFlags([]string{"--a=1", "--b", "2", "--c", "-v=3", "-v4", "--oom-score-adj", "-999", "stray", "--feature_gates=A=true", "--feature-gates", "kube:B=false", "-name=x", "--", "-"})
	if got, want := names(flags), []string{"--a", "--b", "--c", "-v", "-v", "--oom-score-adj", "--feature_gates", "--feature-gates", "--name"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	var words []string
	for _, f := range flags {
		words = append(words, f.word())
	}
	if got, want := strings.Join(words, " "), "--a=1 --b=2 --c -v=3 -v=4 --oom-score-adj=-999 --feature_gates=A=true --feature-gates=kube:B=false --name=x"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := gates(flags); !maps.Equal(got, map[string]bool{"A": true, "B": false}) {
		t.Errorf("%v", got)
	}
	for name, want := range map[string]string{"a": "1", "c": "true", "v": "4", "none": ""} {
		if got := value(flags, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzUnitFile(f *testing.F) {
	for _, c := range unitCases {
		f.Add("[Service]\n"+c.Unit, c.Drop, c.EnvFile)
	}
	f.Add("[Service]\nExecStart=\\", "[Service]\nEnvironment=\"", "A=\"\\")
	f.Fuzz(func(t *testing.T, unit, drop, env string) {
		var u unitFile
		u.add(unit)
		u.add(drop)
		vars := parseEnvFile(env)
		for name := range vars {
			if !isVariable(name) {
				t.Errorf("%q is no variable", name)
			}
		}
		for _, c := range u.commands("a@b.service", "h", vars) {
			if c.path == "" {
				t.Error("a command without a program")
			}
			flags := parseFlags(c.argv)
			for _, flag := range flags {
				// What a flag is written as is read back as the same flag, and takes nothing from the next word.
				again := parseFlags([]string{flag.word(), "next"})
				if len(again) != 1 || again[0].name != flag.name || flag.given && again[0] != flag {
					t.Errorf("%+v is written %q and read %+v", flag, flag.word(), again)
				}
			}
			// Whatever a unit says, the new binary is told to say its help, in a word of its own.
			if words := helpWith("kubelet", flags); words[0] != "--help" {
				t.Errorf("%q", words)
			}
			if words := helpWith("etcd", flags); words[len(words)-1] != "--help" || len(words) > 1 && !strings.Contains(words[len(words)-2], "=") {
				t.Errorf("%q", words)
			}
		}
	})
}

// FuzzSplit: what is quoted is one word, whatever it is.
func FuzzSplit(f *testing.F) {
	f.Add("a b")
	f.Add(`"quoted" \x20 'x`)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\\\"") {
			return
		}
		got := split(`x "` + text + `" y`)
		if len(got) != 3 || got[1].text != text {
			t.Errorf("%q became %+v", text, got)
		}
	})
}
