package main

import "runtime/debug"

// version is set by the build: -ldflags "-X main.version=v0.1.0".
var version = ""

// buildVersion falls back to what Go recorded of the build.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
