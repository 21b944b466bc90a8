// Package logs writes a worker's log.
//
// Rule: every line of a workflow or an activity says which cluster, node and step it is about, in fields of these names,
// whoever wrote it: pawl, or Temporal's SDK, which knows ids only.
package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/pawl-dev/pawl/workflows"
)

// New makes a log in the format: text or json.
func New(w io.Writer, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	switch format {
	case "text":
		return slog.New(handler{Handler: slog.NewTextHandler(w, options)}), nil
	case "json":
		return slog.New(handler{Handler: slog.NewJSONHandler(w, options)}), nil
	}
	return nil, fmt.Errorf("--log-format %q; wanted text or json", format)
}

// handler adds the fields that a line lacks.
type handler struct {
	slog.Handler
	with []slog.Attr // what lines have from their logger
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{Handler: h.Handler.WithAttrs(attrs), with: append(h.with[:len(h.with):len(h.with)], attrs...)}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{Handler: h.Handler.WithGroup(name), with: h.with}
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	has := map[string]string{}
	see := func(a slog.Attr) bool { has[a.Key] = a.Value.String(); return true }
	for _, a := range h.with {
		see(a)
	}
	r.Attrs(see)
	id := has["WorkflowID"] // what Temporal's SDK calls it
	if id == "" {
		return h.Handler.Handle(ctx, r)
	}
	s := workflows.SubjectOf(id, has["ActivityType"], has["ActivityID"])
	r = r.Clone()
	add := func(field, value string) {
		if _, there := has[field]; !there && value != "" {
			r.AddAttrs(slog.String(field, value))
		}
	}
	add("cluster", s.Cluster)
	add("node", s.Node)
	add("step", s.Step)
	if upgrade := workflows.ClusterUpgradeID(s.Cluster); id == upgrade || id == workflows.NodeUpgradeID(s.Cluster, s.Node) {
		add("upgrade", upgrade)
	}
	return h.Handler.Handle(ctx, r)
}
