package view

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

// Command is what a person types for a choice.
func Command(cluster string, w upgrade.Wait, c upgrade.Choice) string {
	words := []string{"pawl", CommandName(c.Update), cluster}
	if w.Node != "" {
		words = append(words, w.Node)
	}
	switch c.Update {
	case "wait":
		words = append(words, "--for", "2h")
	case "deletePods":
		words = append(words, "NAMESPACE/POD...")
	}
	if NeedsReason(c.Update) {
		words = append(words, `--reason "..."`)
	}
	return strings.Join(words, " ")
}

// NeedsReason reports whether an update is refused without a reason; to the others one is welcome.
func NeedsReason(update string) bool {
	return !slices.Contains([]string{"retry", "approve", "pause", "resume"}, update)
}

// CommandName is an update's name as a command: deletePods is delete-pods.
func CommandName(update string) string {
	var b strings.Builder
	for _, r := range update {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Choices say what a person can do about what is waited for, a line each. Of several nodes with the same choices only
// the first has them all.
func Choices(s snapshot.Snapshot) []string {
	var rows [][]string
	shown := map[string]bool{}
	for _, w := range s.AllWaits() {
		kind := w.At + fmt.Sprint(w.Choices)
		for i, c := range w.Choices {
			if shown[kind] && i > 0 {
				break
			}
			rows = append(rows, []string{Command(s.Cluster, w, c), c.Does})
		}
		shown[kind] = true
	}
	if len(rows) == 0 {
		return nil
	}
	if abort := fmt.Sprintf(`pawl abort %s --reason "..."`, s.Cluster); s.State == upgrade.Held && rows[len(rows)-1][0] != abort {
		rows = append(rows, []string{abort, "stop at a safe point, and leave the rest as it is"})
	}
	return tableLines([]string{"", ""}, rows)[1:]
}
