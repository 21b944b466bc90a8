package upgrade

// NodeEvent is what people see at a node's object of what pawl does to it.
type NodeEvent struct {
	Reason  string `json:"reason"`  // one word, CamelCase
	Message string `json:"message"` // one line
	Warning bool   `json:"warning,omitempty"`
	// Key is the same however often the same is told.
	Key string `json:"key"`
}
