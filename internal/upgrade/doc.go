// Package upgrade is pawl's pure core: versions, the version skew policy, what was observed of a cluster, the plan that
// follows from it, and the progress and estimate of a run.
//
// Rule: no I/O, no clock, no goroutines, no randomness, and no output that depends on map order. The same input always
// gives the same plan, so a plan can be recorded once and walked for days.
package upgrade
