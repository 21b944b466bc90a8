package machine

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// searchPrograms are findutils 4.9 and grep 3.8, as far as pawl and the tests use them.
var searchPrograms = map[string]program{"find": find, "grep": grep}

func sortEntries(entries []fs.DirEntry) {
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
}

// find walks the paths. Its tests are joined by "and".
func find(p *process) int {
	args := p.argv[1:]
	var paths []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		paths = append(paths, args[0])
		args = args[1:]
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	least, most := 0, -1
	print := "%p\n"
	var tests []func(name string, info fs.FileInfo) bool
	for len(args) > 0 {
		test := args[0]
		if test == "-print" {
			args = args[1:]
			continue
		}
		if !slices.Contains([]string{"-mindepth", "-maxdepth", "-type", "-name", "-path", "-size", "-printf"}, test) {
			return p.fail(1, "find: unknown predicate `%s'", test)
		}
		if len(args) == 1 {
			return p.fail(1, "find: missing argument to `%s'", test)
		}
		value := args[1]
		args = args[2:]
		switch test {
		case "-mindepth", "-maxdepth":
			n, err := strconv.Atoi(value)
			if err != nil {
				return p.fail(1, "find: Expected a positive decimal integer argument to %s, but got ‘%s’", test, value)
			}
			if test == "-mindepth" {
				least = n
			} else {
				most = n
			}
		case "-type":
			tests = append(tests, func(_ string, info fs.FileInfo) bool {
				return value == "d" && info.IsDir() || value == "f" && info.Mode().IsRegular() || value == "l" && info.Mode()&fs.ModeSymlink != 0
			})
		case "-name":
			tests = append(tests, func(name string, _ fs.FileInfo) bool { return glob(value, path.Base(name)) })
		case "-path":
			tests = append(tests, func(name string, _ fs.FileInfo) bool { return glob(value, name) })
		case "-size":
			if value != "+0" {
				return p.fail(1, "find: only -size +0 is modelled")
			}
			tests = append(tests, func(_ string, info fs.FileInfo) bool { return info.Size() > 0 })
		case "-printf":
			print = strings.ReplaceAll(value, `\n`, "\n")
		}
	}
	code := 0
	var walk func(name string, depth int)
	walk = func(name string, depth int) {
		info, err := p.lstat(name)
		if err != nil {
			code = p.fail(1, "find: ‘%s’: %s", name, reason(err))
			return
		}
		if depth >= least && !slices.ContainsFunc(tests, func(test func(string, fs.FileInfo) bool) bool { return !test(name, info) }) {
			p.printf("%s", strings.NewReplacer("%p", name, "%f", path.Base(name), "%s", strconv.FormatInt(info.Size(), 10),
				"%m", strconv.FormatUint(uint64(info.Mode().Perm()), 8)).Replace(print))
		}
		if !info.IsDir() || most >= 0 && depth >= most {
			return
		}
		entries, err := p.readDir(name)
		if err != nil {
			code = p.fail(1, "find: ‘%s’: %s", name, reason(err))
		}
		for _, e := range entries {
			walk(strings.TrimSuffix(name, "/")+"/"+e.Name(), depth+1)
		}
	}
	for _, name := range paths {
		walk(name, 0)
	}
	return code
}

// glob is fnmatch(3) without flags: * and ? match a slash, too.
func glob(pattern, name string) bool {
	var re strings.Builder
	re.WriteString(`(?s)^`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			re.WriteString(".*")
		case '?':
			re.WriteString(".")
		case '[':
			if end := strings.IndexByte(pattern[i:], ']'); end > 0 {
				re.WriteString(strings.Replace(pattern[i:i+end+1], "[!", "[^", 1))
				i += end
				continue
			}
			re.WriteString(`\[`)
		default:
			re.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re.WriteString("$")
	matched, err := regexp.MatchString(re.String(), name)
	return err == nil && matched
}

func grep(p *process) int {
	o, code := p.options("grep", optSpec{short: "RrlsEFcqvnoih", long: "include=,quiet,count", exit: 2})
	if o == nil {
		return code
	}
	if len(o.args) == 0 {
		return p.fail(2, "Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.")
	}
	pattern := o.args[0]
	if o.has("F") {
		pattern = regexp.QuoteMeta(pattern)
	}
	if o.has("i") {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return p.fail(2, "grep: %v", err)
	}
	files := o.args[1:]
	if len(files) == 0 {
		files = []string{"-"}
	}
	g := &grepRun{p: p, o: o, re: re, many: len(files) > 1 || o.has("R", "r")}
	for _, name := range files {
		g.look(name, true)
	}
	switch {
	case g.found && (!g.failed || o.has("q", "quiet")):
		return 0
	case g.failed:
		return 2
	}
	return 1
}

type grepRun struct {
	p             *process
	o             *opts
	re            *regexp.Regexp
	many          bool
	found, failed bool
}

func (g *grepRun) look(name string, named bool) {
	p, o := g.p, g.o
	if info, err := p.stat(name); err == nil && info.IsDir() {
		if !o.has("R", "r") {
			g.fail("grep: %s: Is a directory", name)
			g.failed = false
			return
		}
		entries, err := p.readDir(name)
		if err != nil {
			g.fail("grep: %s: %s", name, reason(err))
		}
		for _, e := range entries {
			g.look(strings.TrimSuffix(name, "/")+"/"+e.Name(), false)
		}
		return
	}
	if include := o.set["include"]; len(include) > 0 && name != "-" &&
		!slices.ContainsFunc(include, func(pattern string) bool { return glob(pattern, path.Base(name)) }) {
		if named { // --include counts for files that are named, too; one that is missing is a fault all the same
			if _, err := p.stat(name); err != nil {
				g.fail("grep: %s: %s", name, reason(err))
			}
		}
		return
	}
	content, err := p.input(name)
	if err != nil {
		g.fail("grep: %s: %s", name, reason(err))
		return
	}
	prefix := ""
	if g.many && !o.has("h") {
		prefix = name + ":"
	}
	n := 0
	for line := range strings.Lines(string(content)) {
		line = strings.TrimRight(line, "\n")
		if g.re.MatchString(line) == o.has("v") {
			continue
		}
		n++
		switch {
		case o.has("l", "q", "quiet", "c", "count"):
		case o.has("o"):
			for _, match := range g.re.FindAllString(line, -1) {
				p.printf("%s%s\n", prefix, match)
			}
		default:
			p.printf("%s%s\n", prefix, line)
		}
	}
	g.found = g.found || n > 0
	switch {
	case o.has("q", "quiet"):
	case o.has("c", "count"):
		p.printf("%s%d\n", prefix, n)
	case o.has("l") && n > 0:
		p.printf("%s\n", name)
	}
}

func (g *grepRun) fail(format string, args ...any) {
	g.failed = true
	if !g.o.has("s") {
		g.p.fail(2, format, args...)
	}
}
