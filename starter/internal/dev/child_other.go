//go:build !linux

package dev

import "os/exec"

// starter starts children. There is no parent-death signal here: after a kill -9 of this process they have to be
// ended by hand.
type starter struct{}

func newStarter() *starter { return &starter{} }

func (*starter) start(cmd *exec.Cmd) error { return cmd.Start() }
