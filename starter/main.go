// Command pawl plans, starts, watches and steers upgrades of Kubernetes clusters.
//
// Rule: it talks to Temporal only. Hosts, kubeconfigs and cluster definitions are the worker's business, so pawl runs
// wherever Temporal can be reached.
package main

import (
	"os"
	_ "time/tzdata" // windows and schedules name time zones, which the machine may not have

	"github.com/pawl-dev/pawl/starter/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
