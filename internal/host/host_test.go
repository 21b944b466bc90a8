package host_test

import (
	"github.com/pawl-dev/pawl/activities"
	"github.com/pawl-dev/pawl/internal/host"
	"github.com/pawl-dev/pawl/internal/ssh"
)

// What the two packages promise to each other without importing each other.
var (
	_ activities.Host = (*host.Host)(nil)
	_ host.Runner     = (*ssh.Client)(nil)
)
