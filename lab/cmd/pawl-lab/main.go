// Command pawl-lab runs a real kubeadm cluster on one Linux machine.
package main

import (
	"os"

	"github.com/pawl-dev/pawl/lab/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
