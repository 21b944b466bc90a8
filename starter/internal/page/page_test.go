package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
	"github.com/pawl-dev/pawl/starter/internal/report"
	"github.com/pawl-dev/pawl/starter/internal/report/sample"
	"github.com/pawl-dev/pawl/starter/internal/snapshot"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func render(t *testing.T, r report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	for name, r := range map[string]report.Report{
		"eventful": sample.TwoHops(), "overnight": sample.Overnight(),
	} {
		got, file := render(t, r), filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v; write it with: go test ./starter/internal/page -update", err)
		}
		if got != string(want) {
			t.Errorf("%s differs; write it with -update and look at it", file)
		}
	}
}

// hostile is what a name or a reason could be, if somebody meant ill.
const hostile = `"></title></style><script>alert(1)</script><img src=http://evil.example/x onerror='alert(1)'>{{.}}`

// hostileReport has it wherever text comes from outside.
func hostileReport() report.Report {
	s := sample.TwoHops().Snapshot
	s.Cluster, s.Message, s.Workflow, s.Run = hostile, hostile, hostile, hostile
	for i := range s.Actions {
		s.Actions[i] = upgrade.Action{At: s.Actions[i].At, What: hostile, Node: hostile, By: hostile, Reason: hostile}
	}
	for i := range s.Stages {
		s.Stages[i].Title, s.Stages[i].Note, s.Stages[i].State = hostile, hostile, hostile
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.Node, n.State = hostile, hostile
		for j := range n.Steps {
			step := &n.Steps[j]
			step.Step, step.State = hostile, hostile
			for k := range step.Waits {
				step.Waits[k] = upgrade.DrainWait{Budget: hostile, Reason: hostile, Pods: []string{hostile}, From: step.Started, To: step.Ended}
			}
			for k := range step.Holds {
				step.Holds[k].Reason, step.Holds[k].Release = hostile, &upgrade.Action{What: hostile, By: hostile, Reason: hostile}
			}
		}
	}
	why := []snapshot.Failure{{Node: hostile, Activity: hostile, Text: hostile, At: s.Ended}}
	return report.Of(s, why, s.Ended, hostile)
}

// refused is an upgrade that never came to touch a node.
func refused() report.Report {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	return report.Of(snapshot.Snapshot{Status: upgrade.Status{Cluster: "lab", Target: upgrade.MustVersion("v1.37.2"), State: upgrade.Failed,
		Message: "plan refused", Started: now, Ended: now}}, nil, now, "v0.1.0")
}

func TestPageIsWellFormedAndNeedsNothingElse(t *testing.T) {
	for name, r := range map[string]report.Report{
		"eventful": sample.TwoHops(), "overnight": sample.Overnight(), "hundred": sample.Hundred(), "hostile": hostileReport(), "refused": refused(),
	} {
		t.Run(name, func(t *testing.T) {
			text := render(t, r)
			for _, bad := range []string{"ZgotmplZ", "@import", "javascript:", "NaN", "%!"} {
				if strings.Contains(text, bad) {
					t.Errorf("it contains %s", bad)
				}
			}
			if links := strings.Count(text, "url("); links != strings.Count(text, "url(#") {
				t.Error("its style refers to something outside")
			}
			d := xml.NewDecoder(strings.NewReader(text)) // void elements are closed, so that it is XML, too
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := token.(xml.StartElement); ok {
					checkElement(t, e)
				}
			}
		})
	}
}

func checkElement(t *testing.T, e xml.StartElement) {
	t.Helper()
	if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"}, e.Name.Local) {
		t.Errorf("it has an element %s", e.Name.Local)
	}
	for _, a := range e.Attr {
		if name := a.Name.Local; name == "src" || name == "href" || name == "style" || name == "srcset" || strings.HasPrefix(name, "on") {
			t.Errorf("%s has %s=%q", e.Name.Local, name, a.Value)
		}
	}
}

func TestScaleShortensANightAndNothingElse(t *testing.T) {
	night := scaleOf(sample.Overnight(), sample.Overnight().Made)
	cut := 0
	for _, p := range night.pieces {
		if p.cut() {
			cut++
		}
	}
	if cut != 1 {
		t.Errorf("%d times are shortened, wanted the night alone", cut)
	}
	r := sample.TwoHops()
	last := -1.0
	s := scaleOf(r, r.Ended)
	for at := r.Started; !at.After(r.Ended); at = at.Add(13 * time.Second) {
		x := s.at(at)
		if x < last || x < 0 || x > 1 {
			t.Fatalf("%s is at %f after %f", at, x, last)
		}
		if want := at.Sub(r.Started).Seconds() / r.Ended.Sub(r.Started).Seconds(); x-want > 0.001 || want-x > 0.001 {
			t.Fatalf("%s is at %f, wanted %f", at, x, want)
		}
		last = x
	}
}

func TestTicksAreAtRoundTimesOfTheZone(t *testing.T) {
	zone := time.FixedZone("IST", 5*3600+1800)
	r := sample.TwoHops()
	ticks, interval := scaleOf(r, r.Ended).ticks(zone)
	if interval != 10*time.Minute || len(ticks) < 4 || len(ticks) > mostTicks {
		t.Fatalf("%d ticks every %s", len(ticks), interval)
	}
	if got := ticks[0].Format("15:04:05"); got != "18:30:00" {
		t.Errorf("the first tick is at %s", got)
	}
}
