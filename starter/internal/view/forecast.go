package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// forecastShown is how many nodes with something to expect are shown; the findings tell of all.
const forecastShown = 20

// forecast renders what the drains of a plan will do: a line for each node with something to expect, one for nodes in a
// row without.
func forecast(p upgrade.Plan, st Style) string {
	if p.Forecast == nil || len(p.Forecast.Drains) == 0 {
		return ""
	}
	var rows [][]string
	troubled, hidden := 0, 0
	for left := p.Forecast.Drains; len(left) > 0; {
		same := 1
		if d := left[0]; d.Smooth() {
			for same < len(left) && left[same].Smooth() && left[same].Hop == d.Hop {
				same++
			}
			rows = append(rows, smoothRow(p, left[:same]))
		} else if troubled++; troubled > forecastShown {
			hidden++
		} else {
			rows = append(rows, troubleRows(p, d, st)...)
		}
		left = left[same:]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", st.bold("Forecast of the drains"))
	for i, line := range tableLines([]string{"node", "pods", "at least", "what to expect"}, rows) {
		if i == 0 {
			line = st.dim(line)
		}
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if hidden > 0 {
		fmt.Fprintf(&b, "  and %s more with something to expect; -o json has them all\n", count(hidden, "node"))
	}
	return b.String()
}

// smoothRow is one row for nodes whose pods all go and find another place: the most that any of them has.
func smoothRow(p upgrade.Plan, drains []upgrade.DrainForecast) []string {
	most := slices.MaxFunc(drains, func(a, b upgrade.DrainForecast) int { return a.Pods - b.Pods })
	longest := slices.MaxFunc(drains, func(a, b upgrade.DrainForecast) int { return int(a.AtLeast - b.AtLeast) })
	var nodes []string
	for _, d := range drains {
		nodes = append(nodes, d.Node)
	}
	pods := fmt.Sprint(most.Pods)
	if len(drains) > 1 {
		pods += " each at most"
	}
	return []string{inHop(p, drains[0], names(nodes)), pods, grace(longest), "all go and find another place"}
}

// troubleRows are the rows of a node with something to expect.
func troubleRows(p upgrade.Plan, d upgrade.DrainForecast, st Style) [][]string {
	var texts []string
	for _, o := range d.Blocked {
		text := fmt.Sprintf("%s blocked", podsOf(o))
		if o.Budget != "" {
			text += " by budget " + o.Budget
		}
		texts = append(texts, st.yellow(text)+": "+o.Reason)
	}
	for _, o := range d.Waiting {
		texts = append(texts, fmt.Sprintf("%s will wait for budget %s until %s is back", podsOf(o), o.Budget, o.Until))
	}
	for _, o := range d.Pending {
		until := "for good"
		if o.Until != "" {
			until = "until " + o.Until + " is back"
		}
		texts = append(texts, st.yellow(fmt.Sprintf("%s Pending %s", podsOf(o), until))+": "+o.Reason)
	}
	if d.More > 0 {
		texts = append(texts, fmt.Sprintf("and %d more kinds of pods", d.More))
	}
	rows := [][]string{{inHop(p, d, d.Node), fmt.Sprint(d.Pods), grace(d), texts[0]}}
	for _, text := range texts[1:] {
		rows = append(rows, []string{"", "", "", text})
	}
	return rows
}

// inHop says in which hop a node is drained, where there are several.
func inHop(p upgrade.Plan, d upgrade.DrainForecast, nodes string) string {
	if len(p.Hops) < 2 {
		return nodes
	}
	return fmt.Sprintf("hop %d: %s", d.Hop, nodes)
}

func podsOf(o upgrade.PodsForecast) string {
	if o.Pods == 1 {
		return o.Of
	}
	return fmt.Sprintf("%d of %s", o.Pods, o.Of)
}

func grace(d upgrade.DrainForecast) string {
	if d.AtLeast == 0 {
		return "-"
	}
	return Short(d.AtLeast.Std())
}
