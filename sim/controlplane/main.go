// pawl-sim-controlplane is a Kubernetes control plane in one program: etcd and the components that kubeadm would run as
// static pods, each under its own name as the first argument, exactly as its project has it.
//
// Rule: nothing is added to the components and nothing is left out. What pawl's simulated clusters say of evictions,
// budgets, scheduling, taints and leases is therefore what a real cluster says.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // what a real component tells of its client
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var programs = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"etcdctl":                 func() { ctlv3.MustStart() },
	"etcdutl":                 snapshotTool,
	"kube-apiserver":          func() { os.Exit(cli.Run(apiserver.NewAPIServerCommand())) },
	"kube-controller-manager": func() { os.Exit(cli.Run(controllermanager.NewControllerManagerCommand())) },
	"kube-scheduler":          func() { os.Exit(cli.Run(scheduler.NewSchedulerCommand())) },
}

func main() {
	if len(os.Args) > 1 {
		if run, ok := programs[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			run()
			return
		}
	}
	exit(fmt.Errorf("wanted one of these as the first argument: %s", strings.Join(slices.Sorted(maps.Keys(programs)), ", ")))
}

// snapshotTool is etcdutl's snapshot command; the rest of etcdutl is not to be had as a library.
func snapshotTool() {
	root := &cobra.Command{Use: "etcdutl"}
	root.PersistentFlags().StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple", "set the output format (fields, json, protobuf, simple, table)")
	root.AddCommand(etcdutl.NewSnapshotCommand())
	exit(root.Execute())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pawl-sim-controlplane:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
