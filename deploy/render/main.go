// Command render prints the manifests of the Helm chart pawl-worker, for people who have no helm:
//
//	go run -C deploy ./render --namespace pawl < my-values.yaml | kubectl apply -f -
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/pawl-dev/pawl/deploy/chart"
)

func main() {
	dir := flag.String("chart", "helm/pawl-worker", "the chart's folder")
	r := chart.Release{}
	flag.StringVar(&r.Name, "name", "pawl-worker", "the release's name")
	flag.StringVar(&r.Namespace, "namespace", "pawl", "where it is installed")
	flag.Parse()
	text, err := chart.Render(*dir, r, os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}
