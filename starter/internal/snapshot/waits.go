package snapshot

// PodsLeft is how many pods a drain still has to move off the node; 0 when none is under way.
func (s Snapshot) PodsLeft(node string) int {
	for _, n := range s.Notes {
		if n.Node == node && n.PodsLeft > 0 {
			return n.PodsLeft
		}
	}
	return 0
}
