// Package upgrades talks to pawl's workflows: it starts them, asks them and tells them.
//
// Rule: every error it returns is one line for people, with an exit code; Temporal's wrapping stays inside.
package upgrades
