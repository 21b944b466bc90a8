package upgrade

// Forecast is what the drains of a plan do to the cluster's pods, as far as that can be told beforehand; package forecast
// makes it. It is the outcome only: the pods that it is made from stay out of the plan, which stands in a history.
type Forecast struct {
	// Drains are in the order of the plan: hop after hop, the control plane's nodes first.
	Drains []DrainForecast `json:"drains"`
}

// DrainForecast is what the drain of one node does.
type DrainForecast struct {
	Hop  int    `json:"hop"` // from 1
	Node string `json:"node"`
	Pods int    `json:"pods"` // that have to go
	// AtLeast is how long the pods take to end if they use all of their grace, one after another where a budget waits for
	// a replacement that comes only then. Starting the replacements comes on top.
	AtLeast Duration `json:"atLeast,omitzero"`
	// Blocked are pods that do not go until a person does something about it. The forecast of later drains supposes that
	// a person made them go.
	Blocked []PodsForecast `json:"blocked,omitempty"`
	// Waiting are pods that go only when another node, which is out of service at the same time, is back.
	Waiting []PodsForecast `json:"waiting,omitempty"`
	// Pending are pods that go but find no other place.
	Pending []PodsForecast `json:"pending,omitempty"`
	Lost    int            `json:"lost,omitempty"` // pods that lose what they keep in emptyDir volumes
	More    int            `json:"more,omitempty"` // entries that Blocked, Waiting and Pending have no room for
}

// PodsForecast is what happens to pods of one owner on one node.
type PodsForecast struct {
	Of     string `json:"of"`               // "Deployment shop/web", or "Pod shop/once" of one without a controller
	Pods   int    `json:"pods"`             // how many
	Budget string `json:"budget,omitempty"` // namespace/name of the PodDisruptionBudget that keeps them, if one does
	Reason string `json:"reason"`           // in one line
	// Until is the node whose return ends it. Empty: nothing in the upgrade does.
	Until string `json:"until,omitempty"`
}

// Smooth reports whether all pods go, and find another place.
func (d DrainForecast) Smooth() bool {
	return len(d.Blocked)+len(d.Waiting)+len(d.Pending)+d.More == 0
}
