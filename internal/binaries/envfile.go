package binaries

import "strings"

// envReader reads a file of EnvironmentFile= as systemd does (systemd.exec(5), and its parse_env_file_internal): NAME=value
// lines and comments; a backslash at a line's end joins it with the next. Quotes count where a value begins, or behind
// another quoted part; further on they are part of the value.
type envReader struct {
	env         map[string]string
	name, value strings.Builder
	keep        int // up to where blanks at the value's end are part of it
}

// parseEnvFile reads the file's text.
func parseEnvFile(text string) map[string]string {
	r := envReader{env: map[string]string{}}
	step := envState(r.line)
	for i := 0; i < len(text); i++ {
		if text[i] != '\r' {
			step = step(text[i])
		}
	}
	step('\n')
	r.push() // what a quote left open at the end
	return r.env
}

// envState takes one byte, and says what takes the next.
type envState func(c byte) envState

// line is before a name.
func (r *envReader) line(c byte) envState {
	switch c {
	case '#', ';':
		return r.comment
	case ' ', '\t', '\n':
		return r.line
	}
	return r.key(c)
}

func (r *envReader) comment(c byte) envState {
	switch c {
	case '\\':
		return func(byte) envState { return r.comment }
	case '\n':
		return r.line
	}
	return r.comment
}

func (r *envReader) key(c byte) envState {
	switch c {
	case '\n':
		r.name.Reset()
		return r.line
	case '=':
		return r.begin
	}
	r.name.WriteByte(c)
	return r.key
}

// begin is before a value, and behind a quoted part of it.
func (r *envReader) begin(c byte) envState {
	switch c {
	case '\n':
		r.push()
		return r.line
	case '\'':
		return r.single
	case '"':
		return r.double
	case ' ', '\t':
		return r.begin
	}
	return r.plain(c)
}

func (r *envReader) plain(c byte) envState {
	switch c {
	case '\n':
		r.push()
		return r.line
	case '\\':
		return func(c byte) envState {
			if c != '\n' {
				r.add(c)
			}
			return r.plain
		}
	case ' ', '\t':
		r.value.WriteByte(c)
	default:
		r.add(c)
	}
	return r.plain
}

func (r *envReader) single(c byte) envState {
	if c == '\'' {
		return r.begin
	}
	r.add(c)
	return r.single
}

func (r *envReader) double(c byte) envState {
	switch c {
	case '"':
		return r.begin
	case '\\':
		return func(c byte) envState {
			switch {
			case strings.IndexByte("\"\\`$", c) >= 0:
				r.add(c)
			case c != '\n':
				r.add('\\')
				r.add(c)
			}
			return r.double
		}
	}
	r.add(c)
	return r.double
}

// add is for what stays, also at the value's end.
func (r *envReader) add(c byte) {
	r.value.WriteByte(c)
	r.keep = r.value.Len()
}

// push takes the variable in.
func (r *envReader) push() {
	if name := strings.TrimSpace(r.name.String()); isVariable(name) {
		r.env[name] = r.value.String()[:r.keep]
	}
	r.name.Reset()
	r.value.Reset()
	r.keep = 0
}
