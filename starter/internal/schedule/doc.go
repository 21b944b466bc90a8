// Package schedule is what people see and write of a schedule of upgrades: when it is due, and what became of its runs.
//
// Rule: pure. It reads and writes text; Temporal is asked elsewhere.
package schedule
