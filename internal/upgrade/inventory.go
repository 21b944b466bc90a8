package upgrade

import "time"

// Inventory is all that a plan is made from: one observation of a cluster, and the parts of its definition that shape a
// plan. It holds no secrets, so that a plan can be made again elsewhere, from one file and without any cluster.
type Inventory struct {
	Made     time.Time `json:"made"`
	Cluster  Cluster   `json:"cluster"`
	Settings Settings  `json:"settings"`
}

// Plan makes the plan to what is wanted, as it would have been made when the inventory was.
func (i Inventory) Plan(w Wanted) Plan {
	if w.Now.IsZero() {
		w.Now = i.Made
	}
	return MakePlan(i.Cluster, w, i.Settings)
}

// Farthest is a target beyond every release: the path to it names all minors whose packages any plan may need.
func Farthest(c Cluster) Version {
	oldest := Oldest(c)
	return Version{major: oldest.major, minor: oldest.minor + mostMinors}
}

// Oldest is the oldest version in the control plane, from which every path starts.
func Oldest(c Cluster) Version { return oldestControlPlane(c.Version, c.Nodes) }
