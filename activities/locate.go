package activities

import "context"

// Location says where the activities of a cluster run.
type Location struct {
	// TaskQueue is that of the workers beside the cluster; "" is that of the workflow.
	TaskQueue string `json:"taskQueue,omitempty"`
}

// LocateCluster reads from the cluster's definition where its activities run. It is done by the workflow's own workers, which
// need the definition for it and none of the files that it names.
func (a *Activities) LocateCluster(_ context.Context, in ObserveInput) (Location, error) {
	queue, err := a.Directory.TaskQueue(in.Cluster)
	return Location{TaskQueue: queue}, err
}
