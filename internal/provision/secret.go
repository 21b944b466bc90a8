package provision

import "strings"

// secrets are the parts of a question that nobody else may see: the token, and the half of it that opens the door.
func secrets(q request) []string {
	if q.Join == nil || q.Join.Token == "" {
		return nil
	}
	all := []string{q.Join.Token}
	if _, half, ok := strings.Cut(q.Join.Token, "."); ok && half != "" {
		all = append(all, half)
	}
	return all
}

// scrub takes secrets out of a text.
func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "[hidden]")
	}
	return text
}

// mostQuoted is how much of somebody's output an error quotes.
const mostQuoted = 600

// short is the end of a text, that of a last line if it has many. Secrets are taken out before it is cut.
func short(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > mostQuoted {
		text = "..." + strings.ToValidUTF8(text[len(text)-mostQuoted:], "")
	}
	return text
}

// tail keeps the end of what is written to it.
type tail struct {
	kept []byte
	most int
}

// Write never fails: whoever writes more than is kept goes on.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.most; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}
