package binaries

import (
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Unit files are read as systemd reads them: systemd.syntax(7), systemd.unit(5), and "Command lines" of
// systemd.service(5). What systemd would refuse is left as it stands: it is systemd's to complain.

// unitFile is the part of a unit that says what is started.
type unitFile struct {
	exec        []string // the values of ExecStart=, an empty one having reset those before it
	environment []string // of Environment=
	envFiles    []string // of EnvironmentFile=, a leading '-' still before them
}

// add reads a unit file, or a drop-in, whose settings go on from those read before.
func (u *unitFile) add(text string) {
	section := ""
	for _, line := range joined(text) {
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != "[Service]" {
			continue
		}
		var list *[]string
		switch strings.TrimSpace(key) {
		case "ExecStart":
			list = &u.exec
		case "Environment":
			list = &u.environment
		case "EnvironmentFile":
			list = &u.envFiles
		default:
			continue
		}
		if value = strings.TrimSpace(value); value == "" {
			*list = nil
		} else {
			*list = append(*list, value)
		}
	}
}

// joined are the lines of a unit file: without comments, those that end in a backslash joined with the next by a space.
// A comment between two such lines is passed over.
func joined(text string) []string {
	var lines []string
	open := false // the last line goes on
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		bare := strings.TrimLeft(line, " \t")
		if bare != "" && (bare[0] == '#' || bare[0] == ';') {
			continue
		}
		goesOn := strings.HasSuffix(line, `\`) && (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
		if goesOn {
			line = line[:len(line)-1] + " "
		}
		if open {
			lines[len(lines)-1] += line
		} else {
			lines = append(lines, strings.TrimLeft(line, " \t"))
		}
		open = goesOn
	}
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

// command is what a unit starts.
type command struct {
	path string
	argv []string // after the program's name
}

// commands are those of the unit, its variables and specifiers replaced. env holds what its environment files say, which
// go before Environment=.
func (u *unitFile) commands(unit, hostname string, env map[string]string) []command {
	all := u.variables(unit, hostname)
	for name, value := range env {
		all[name] = value
	}
	var found []command
	for _, value := range u.exec {
		found = append(found, parseExec(value, unit, hostname, all)...)
	}
	return found
}

// variables are those that Environment= sets.
func (u *unitFile) variables(unit, hostname string) map[string]string {
	all := map[string]string{}
	for _, value := range u.environment {
		for _, word := range split(value) {
			if name, value, ok := strings.Cut(specifiers(word.text, unit, hostname), "="); ok {
				all[name] = value
			}
		}
	}
	return all
}

// parseExec reads a value of ExecStart=: one command or, of a oneshot, several apart by ";".
func parseExec(value, unit, hostname string, env map[string]string) []command {
	var found []command
	var current []word
	end := func() {
		if len(current) == 0 {
			return
		}
		c, ok := parseCommand(current, unit, hostname, env)
		if ok {
			found = append(found, c)
		}
		current = nil
	}
	for _, w := range split(value) {
		if w.text == ";" && !w.quoted {
			end()
			continue
		}
		current = append(current, w)
	}
	end()
	return found
}

func parseCommand(words []word, unit, hostname string, env map[string]string) (command, bool) {
	program := words[0].text
	bare := strings.TrimLeft(program, "@-:+!|")
	prefix := program[:len(program)-len(bare)]
	if bare == "" {
		return command{}, false
	}
	c := command{path: specifiers(bare, unit, hostname)}
	rest := words[1:]
	if strings.Contains(prefix, "@") && len(rest) > 0 { // the next word is argv[0]
		rest = rest[1:]
	}
	for _, w := range rest {
		text := specifiers(w.text, unit, hostname)
		if strings.Contains(prefix, ":") {
			c.argv = append(c.argv, text)
			continue
		}
		c.argv = append(c.argv, variables(text, env)...)
	}
	return c, true
}

// variables replaces ${NAME} within a word; a word that is $NAME as a whole becomes as many words as its value has; $$ is
// a dollar.
func variables(text string, env map[string]string) []string {
	if name, ok := strings.CutPrefix(text, "$"); ok && isVariable(name) {
		var words []string
		for _, w := range split(env[name]) {
			words = append(words, w.text)
		}
		return words
	}
	var b strings.Builder
	for rest := text; rest != ""; {
		i := strings.IndexByte(rest, '$')
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		rest = rest[i:]
		switch end := strings.IndexByte(rest, '}'); {
		case strings.HasPrefix(rest, "$$"):
			b.WriteByte('$')
			rest = rest[2:]
		case strings.HasPrefix(rest, "${") && end > 0 && isVariable(rest[2:end]):
			b.WriteString(env[rest[2:end]])
			rest = rest[end+1:]
		default:
			b.WriteByte('$')
			rest = rest[1:]
		}
	}
	return []string{b.String()}
}

func isVariable(name string) bool {
	for i, r := range name {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// specifiers replaces those of systemd.unit(5) that a component's unit may have. The others stay.
func specifiers(text, unit, hostname string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	name := strings.TrimSuffix(unit, path.Ext(unit))
	prefix, instance, _ := strings.Cut(name, "@")
	short, _, _ := strings.Cut(hostname, ".")
	return strings.NewReplacer("%%", "%", "%n", unit, "%N", name, "%p", prefix, "%P", unescaped(prefix), "%i", instance, "%I", unescaped(instance),
		"%H", hostname, "%l", short, "%h", "/root", "%u", "root", "%U", "0", "%t", "/run", "%S", "/var/lib", "%C", "/var/cache", "%L", "/var/log",
		"%E", "/etc").Replace(text)
}

// unescaped undoes systemd-escape(1).
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if n, err := strconv.ParseUint(s[min(i+2, len(s)):min(i+4, len(s))], 16, 8); err == nil && strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			b.WriteByte(byte(n))
			i += 3
		} else if s[i] == '-' {
			b.WriteByte('/')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// word is one of a command line.
type word struct {
	text   string
	quoted bool // some of it was, or was escaped
}

// split takes a command line apart as systemd does: at blanks, but for those within quotes, which may begin anywhere in a
// word; a backslash begins an escape of C, within quotes and without.
func split(line string) []word {
	var words []word
	var b strings.Builder
	var quote byte
	in, quoted := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\':
			text, n := escape(line[i+1:])
			b.WriteString(text)
			i += n
			in, quoted = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote, in, quoted = c, true, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				words = append(words, word{b.String(), quoted})
				b.Reset()
			}
			in, quoted = false, false
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word{b.String(), quoted})
	}
	return words
}

// escape reads what follows a backslash, and says how long it is. An escape that is none keeps its backslash.
func escape(s string) (text string, length int) {
	if s == "" {
		return `\`, 0
	}
	simple := map[byte]string{'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '\\': `\`, '"': `"`, '\'': `'`, 's': " ", ';': ";"}
	if text, ok := simple[s[0]]; ok {
		return text, 1
	}
	for _, number := range []struct {
		begin       byte
		skip, width int
		base        int
	}{{'x', 1, 2, 16}, {'u', 1, 4, 16}, {'U', 1, 8, 16}, {0, 0, 3, 8}} {
		if number.begin != 0 && s[0] != number.begin || len(s) < number.skip+number.width {
			continue
		}
		n, err := strconv.ParseUint(s[number.skip:number.skip+number.width], number.base, 32)
		if err != nil || n == 0 || n > utf8.MaxRune {
			continue
		}
		if number.width < 4 && n < 256 { // \xhh and \nnn are bytes
			return string([]byte{byte(n)}), number.skip + number.width
		}
		return string(rune(n)), number.skip + number.width
	}
	return `\` + s[:1], 1
}
