package machine

import (
	"regexp"
	"slices"
	"strings"
)

// sed is sed(1) of GNU for files that are edited in place, with the commands s, a and d.
func sed(p *process) int {
	o, code := p.options("sed", optSpec{short: "ie:", long: "in-place,expression=", exit: 1})
	if o == nil {
		return code
	}
	scripts := slices.Concat(o.set["e"], o.set["expression"])
	if !o.has("i", "in-place") || len(scripts) == 0 {
		return p.fail(1, "Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...")
	}
	for _, name := range o.args {
		info, err := p.stat(name)
		if err != nil {
			return p.fail(2, "sed: can't read %s: %s", name, reason(err))
		}
		content, err := p.readFile(name)
		if err != nil {
			return p.fail(4, "sed: couldn't open file %s: %s", name, reason(err))
		}
		text, appended, last := string(content), "", len(content) > 0
		for i, script := range scripts {
			if line, ok := strings.CutPrefix(script, "$a"); ok { // shown after the last line, whatever becomes of that later
				if last {
					appended += line + "\n"
				}
				continue
			}
			edited, ok := sedEdit(script, text)
			if !ok {
				return p.fail(1, "sed: -e expression #%d, char 1: unknown command: `%.1s'", i+1, script)
			}
			if strings.HasSuffix(script, "!d") { // what is deleted is not given to the commands that follow
				last = last && edited != "" && endOf(edited) == endOf(text)
			}
			text = edited
		}
		if appended != "" && text != "" {
			text = strings.TrimSuffix(text, "\n") + "\n"
		}
		text += appended
		if err := p.writeFile(name, []byte(text), info.Mode().Perm()); err != nil {
			return p.fail(4, "sed: couldn't open temporary file %s: %s", name, reason(err))
		}
	}
	return 0
}

func sedEdit(script, text string) (string, bool) {
	if address, ok := strings.CutPrefix(script, `\|`); ok { // \|pattern|!d
		parts := sedParts(address)
		if len(parts) != 2 || parts[1] != "!d" {
			return "", false
		}
		pattern, err := regexp.Compile(basicPattern(parts[0]))
		var kept strings.Builder
		for line := range strings.Lines(text) {
			if err == nil && pattern.MatchString(line) {
				kept.WriteString(line)
			}
		}
		return kept.String(), err == nil
	}
	parts := sedParts(script)
	if len(parts) != 4 || parts[0] != "s" || parts[3] != "g" {
		return "", false
	}
	pattern, err := regexp.Compile("(?m)" + basicPattern(parts[1]))
	if err != nil {
		return "", false
	}
	by := strings.NewReplacer(`\\`, `\`, `\&`, "&", `\|`, "|").Replace(parts[2])
	return pattern.ReplaceAllLiteralString(text, by), true
}

// endOf is the last line.
func endOf(text string) string {
	text = strings.TrimSuffix(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// sedParts takes s|pattern|text|flags apart; a backslash keeps the next character from ending a part.
func sedParts(script string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(script); i++ {
		switch c := script[i]; {
		case c == '\\' && i+1 < len(script):
			b.WriteString(script[i : i+2])
			i++
		case c == '|':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(parts, b.String())
}

// basicPattern is a basic regular expression of POSIX as Go writes it: what stands for itself there is quoted here.
func basicPattern(basic string) string {
	var b strings.Builder
	for i := 0; i < len(basic); i++ {
		c := basic[i]
		end := strings.IndexByte(basic[i+1:], ']')
		switch {
		case c == '[' && end > 0:
			b.WriteString("[" + regexp.QuoteMeta(basic[i+1:i+1+end]) + "]")
			i += end + 1
		case c == '\\' && i+1 < len(basic):
			i++
			b.WriteString(regexp.QuoteMeta(basic[i : i+1]))
		case strings.IndexByte("+?(){}|", c) >= 0:
			b.WriteString(regexp.QuoteMeta(string(c)))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
