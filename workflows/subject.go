package workflows

import (
	"strings"

	"github.com/pawl-dev/pawl/activities"
)

// Subject is what a workflow or one of its activities is about. What is not known is empty.
type Subject struct{ Cluster, Node, Step string }

// SubjectOf tells it from the ids, which is all that logs and traces have. The ids of an activity are empty for the workflow
// itself.
func SubjectOf(workflowID, activityType, activityID string) Subject {
	s := Subject{Step: activities.StepOf(activityType)}
	kind, rest, _ := strings.Cut(workflowID, "/")
	switch kind {
	case "cluster-upgrade", "cluster-plan", "cluster-inventory":
		s.Cluster, _, _ = strings.Cut(rest, "/")
	case "node-upgrade":
		s.Cluster, s.Node, _ = strings.Cut(rest, "/")
	}
	for _, prefix := range []string{"prepare-", "back-up-"} { // of activities of the cluster's upgrade that are about one node
		if node, ok := strings.CutPrefix(activityID, prefix); ok && s.Node == "" {
			s.Node = node
		}
	}
	return s
}
