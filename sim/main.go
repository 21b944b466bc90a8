// pawl-sim makes a simulated cluster to try pawl on: a real Kubernetes API, and machines behind real SSH that are models.
package main

import (
	"os"

	"github.com/pawl-dev/pawl/sim/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
