// Package telemetry shows a worker to Prometheus: pawl's own metrics, those of Temporal's SDK, of Go and of the process,
// and whether it is alive and ready.
//
// Rule: it is asked and answers soon, whatever else is slow; what it says of upgrades is the same whichever worker is
// asked, since it comes from Temporal and not from what this worker happens to have done.
package telemetry
