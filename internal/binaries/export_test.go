package binaries

import "time"

// SetPatience makes a component that does not pass its gate fail sooner.
func SetPatience(h *Host, d time.Duration) { h.patience = d }
