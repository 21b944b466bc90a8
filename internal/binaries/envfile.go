package binaries

import "strings"

// parseEnvFile reads a file of EnvironmentFile=, as systemd.exec(5) has it: NAME=value lines, shell quoting, comments, a
// backslash at a line's end joining it with the next.
func parseEnvFile(text string) map[string]string {
	env := map[string]string{}
	for rest := text; rest != ""; {
		var line string
		line, rest = envLine(rest)
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); ok && isVariable(name) {
			env[name] = envValue(value)
		}
	}
	return env
}

// envLine cuts off the first logical line: to a line's end that is neither escaped nor within quotes.
func envLine(text string) (line, rest string) {
	comment := strings.HasPrefix(strings.TrimLeft(text, " \t\r"), "#") || strings.HasPrefix(strings.TrimLeft(text, " \t\r"), ";")
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'' && !comment:
			i++
		case comment && c != '\n':
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == '\n' && quote == 0:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// envValue takes quotes and escapes out of a value, and blanks around it.
func envValue(value string) string {
	var b strings.Builder
	var quote byte
	keep := 0 // up to where trailing blanks are part of the value
	value = strings.TrimLeft(value, " \t")
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(value):
			i++
			switch next := value[i]; {
			case next == '\n': // the lines are joined
			case quote == '"' && !strings.ContainsRune("\"\\`$", rune(next)):
				b.WriteByte('\\')
				b.WriteByte(next)
			default:
				b.WriteByte(next)
			}
			keep = b.Len()
		case quote != 0 && c == quote:
			quote = 0
			keep = b.Len()
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return b.String()
	}
	text := b.String()
	return text[:keep] + strings.TrimRight(text[keep:], " \t\r")
}
