// Package workflows is the runbook: which steps, in which order, how many at a time, and where people are asked.
//
// Rule: orchestration only. Workflows build no commands and parse no output; everything that touches the world is an
// activity, and everything that can be computed from what was observed is in the core (internal/upgrade).
package workflows
