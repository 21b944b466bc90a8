package integration

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/sim/bed"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// watched is the run of which docs/watch.md shows how `pawl watch` looks.
const watched = "../starter/internal/watch/testdata/run.jsonl"

// recordWatch keeps what `pawl watch -o json` says until it ends; the returned function waits for that.
func (s *stage) recordWatch() func() string {
	if os.Getenv(imagesVariable) == "" {
		return nil
	}
	var out []byte
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		out, _ = s.command("watch", s.name, "-o", "json").Output() // it ends with 12 when it is held
	}()
	return func() string {
		<-ended
		return string(out)
	}
}

// TestTemporalUI walks an upgrade through Temporal's own web UI, without pawl's CLI: a bad input is refused with pawl's
// message; the upgrade starts from the form, is held, found in the list, told to retry, and ends. With
// PAWL_UPDATE_IMAGES=1 it makes the pictures of docs/temporal-ui.md.
func TestTemporalUI(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := newStage(t, "prod", bed.Options{ControlPlanes: 1, Workers: 2, Version: v136, Offered: []upgrade.Version{v137}}, "drain: {timeout: 25s}\n") // long enough for a busy machine
	s.scenario(`w1 before "apt-get install --no-remove kubeadm" block-budget shop/web`)
	ui := temporalUI{browser: b, base: "http://" + s.dev.ui, form: startForm(t, s.dev)}

	ui.start("cluster-upgrade/prod", `{"cluster":"prod","targetVerison":"v1.37.2"}`)
	ui.workflow("cluster-upgrade/prod")
	b.see("Failed", `unknown field "targetVerison"; wanted {"cluster":"NAME","targetVersion":"v1.37.2"}`)
	b.shot("ui-refused")

	ui.start("cluster-upgrade/prod", `{"cluster":"prod","targetVersion":"v1.37.2","waive":["etcd-version"]}`)
	untilHeld := s.recordWatch()
	ui.workflow("cluster-upgrade/prod")
	ui.details("prod v1.36.3 → v1.37.2: held", "held, a decision is wanted", "blocked by PodDisruptionBudget shop/web")
	b.shot("temporal-ui")

	ui.list(`WorkflowType="ClusterUpgrade" AND ExecutionStatus="Running" AND PawlState="held"`)
	b.see("cluster-upgrade/prod")
	b.shot("ui-list")
	s.requireListed(upgrade.Held, "w1")

	ui.workflow("node-upgrade/prod/w1")
	ui.details("w1 v1.36.3 → v1.37.2: held", "blocked by PodDisruptionBudget shop/web")
	b.shot("held")
	require.NoError(t, s.BlockBudget(t.Context(), "shop/web", false))
	ui.update("retry", `{"reason":"the budget is relaxed","by":"kim"}`)
	untilDone := s.recordWatch()

	ui.workflow("cluster-upgrade/prod")
	b.see("Completed", "w2: node to v1.37.2", "Verify the control plane")
	b.shot("ui-timeline")
	ui.details("prod v1.36.3 → v1.37.2: done")
	s.requireUpgraded()
	if os.Getenv(imagesVariable) != "" {
		require.NoError(t, os.WriteFile(watched, []byte(untilHeld()+untilDone()), 0o644))
	}
	actions := s.report().Actions
	require.Len(t, actions, 1)
	require.Equal(t, "retry w1 kim the budget is relaxed", actions[0].What+" "+actions[0].Node+" "+actions[0].By+" "+actions[0].Reason)

}

// temporalUI is Temporal's web UI in a browser.
type temporalUI struct {
	*browser
	base, form string
}

// start starts an upgrade from the form.
func (u temporalUI) start(workflow, input string) {
	u.t.Helper()
	u.open(u.form)
	u.see("Start Workflow", "ClusterUpgrade", "cluster-upgrade/NAME", "Task Queue is Active")
	u.fill("#workflowId", workflow)
	u.fill(".cm-content", input)
	u.shot("ui-start")
	u.click("[data-testid=start-workflow-button]", "")
	u.see("Workflow started")
}

// startForm is the address that `pawl dev` greets with.
func startForm(t *testing.T, d *dev) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(d.dir, "dev.log"))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(log), "Start one  ")
	require.True(t, found, "pawl dev says where to start one: %s", log)
	address, _, _ := strings.Cut(after, "\n")
	return address
}

// workflow opens the page of a workflow's newest run.
func (u temporalUI) workflow(id string) {
	u.t.Helper()
	u.open(u.base + "/namespaces/default/workflows/" + url.PathEscape(id))
	u.see(id, "User Metadata")
}

// details waits until the workflow says all of it of itself. The page reads that anew when R is pressed.
func (u temporalUI) details(texts ...string) {
	u.t.Helper()
	u.click("a", "User Metadata")
	u.see("Current Details")
	pressed := time.Now()
	for _, text := range texts {
		u.await(fmt.Sprintf("say %q", text), func() bool {
			if time.Since(pressed) > 2*time.Second {
				pressed = time.Now()
				u.do(chromedp.KeyEvent("r"))
			}
			return u.says(text)
		})
	}
}

// list opens the list of workflows that a filter leaves.
func (u temporalUI) list(query string) {
	u.t.Helper()
	u.open(u.base + "/namespaces/default/workflows?query=" + url.QueryEscape(query))
}

// update sends an update to the workflow whose page is open, and waits until it is answered.
func (u temporalUI) update(name, input string) {
	u.t.Helper()
	u.click("button", "More Actions")
	u.click("[role=menuitem]", "Send an Update")
	u.click("dialog[open] [data-testid=update-select-button]", "")
	u.click("dialog[open] [role=option]", name)
	u.await("have "+name+" selected", func() bool {
		script := fmt.Sprintf(`[...document.querySelectorAll('dialog[open] button, dialog[open] input')].some(
			e => (e.value || e.innerText || '').trim().split('\n')[0] === %q)`, name)
		chosen, err := chromedp.Run(u.ctx, chromedp.Evaluate[bool](script))
		return err == nil && chosen
	})
	u.fill("dialog[open] .cm-content", input)
	u.shot("ui-update")
	u.click("dialog[open] button", "Submit")
	u.await("take the update", func() bool {
		open, err := chromedp.Run(u.ctx, chromedp.Evaluate[bool]("document.querySelector('dialog[open]') !== null"))
		return err == nil && !open
	})
}
