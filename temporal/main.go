// Command pawl-temporal is a Temporal server in one process: its services, its web UI and a SQLite file that holds
// every workflow. It takes the flags of `temporal server start-dev`, so that either can stand in for the other.
//
// It is a module of its own, because the server's dependencies outweigh all the rest of pawl: the pawl command and the
// worker need only its address.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules name time zones, which the machine may not have
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pawl-temporal:", err)
		os.Exit(1)
	}
	// The services' own shutdown may leave goroutines that take their time; the file is already closed in good order.
	os.Exit(0)
}
