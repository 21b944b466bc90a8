package main

import (
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"runtime/debug"
)

// build is a program, and what Go wrote into it about itself.
type build struct {
	file string
	info *debug.BuildInfo
}

// readBuild looks whether a program is what the image may hold: static, for Linux on the architecture.
func readBuild(file, arch string) (build, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return build{}, fmt.Errorf("%w; run make image", err)
	}
	for _, s := range info.Settings {
		if s.Key == "GOARCH" && s.Value != arch || s.Key == "GOOS" && s.Value != "linux" {
			return build{}, fmt.Errorf("%s was built with %s=%s, wanted linux and %s", file, s.Key, s.Value, arch)
		}
	}
	program, err := elf.Open(file)
	if err != nil {
		return build{}, fmt.Errorf("%s: %w", file, err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return build{}, fmt.Errorf("%s is linked dynamically, and the image has no libraries; build it with CGO_ENABLED=0", file)
		}
	}
	return build{file: file, info: info}, nil
}

// ownModule is a module that this program is made of.
func ownModule(path string) (spdxPackage, error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return goModule(m.Path, m.Version), nil
			}
		}
	}
	return spdxPackage{}, fmt.Errorf("find the version of %s: this program was not built by Go from a module", path)
}
