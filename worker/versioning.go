package main

import (
	"fmt"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// versioning is Temporal's Worker Versioning, which is off unless a deployment is named.
// Source: https://docs.temporal.io/worker-versioning
type versioning struct {
	deployment string
	buildID    string
	behavior   string
}

// What workflows do when another version becomes the current one.
const (
	autoUpgrade = "auto-upgrade" // they go on with it
	pinned      = "pinned"       // they end where they began
)

// options are those of a worker, or what is wrong with what was asked for.
func (v versioning) options() (worker.DeploymentOptions, error) {
	if v.deployment == "" {
		if v.buildID != "" || v.behavior != "" {
			return worker.DeploymentOptions{}, fmt.Errorf("--build-id and --versioning need --deployment NAME")
		}
		return worker.DeploymentOptions{}, nil
	}
	o := worker.DeploymentOptions{
		UseVersioning: true,
		Version:       worker.WorkerDeploymentVersion{DeploymentName: v.deployment, BuildID: v.buildID},
	}
	if o.Version.BuildID == "" {
		o.Version.BuildID = buildVersion()
	}
	switch v.behavior {
	case autoUpgrade, "":
		o.DefaultVersioningBehavior = workflow.VersioningBehaviorAutoUpgrade
	case pinned:
		o.DefaultVersioningBehavior = workflow.VersioningBehaviorPinned
	default:
		return o, fmt.Errorf("--versioning is %q, wanted %s or %s", v.behavior, autoUpgrade, pinned)
	}
	return o, nil
}
