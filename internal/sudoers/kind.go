package sudoers

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Kind is a kind of host: how Kubernetes came there.
type Kind string

// The kinds.
const (
	APT      Kind = "apt" // kubeadm's, with packages of Debian
	DNF      Kind = "dnf"
	Zypper   Kind = "zypper"
	Binaries Kind = "binaries" // installed by hand
)

// Kinds are all of them.
var Kinds = []Kind{APT, DNF, Zypper, Binaries}

// Site is what differs from company to company. What is empty is as upstream has it.
type Site struct {
	// Repository is the base of the package repositories, as packages.repository of a cluster's definition.
	Repository string
	// SourceFile names the machine's entry for it, Keyring its signing key (apt).
	SourceFile, Keyring string
	// Folders are where programs are, Mirrors where new ones are from, Files what units name beside the usual (binaries).
	Folders, Mirrors, Files []string
	// Hooks are the commands that definitions have as hooks, each a program and its arguments.
	Hooks [][]string
}

// defaults is upstream's: no mirror, and everything where the documentation of Kubernetes has it.
var defaults = Site{
	Repository: "https://pkgs.k8s.io/core:/stable:",
	Folders:    []string{"/usr/local/bin", "/opt/cni/bin"},
	Mirrors: []string{"https://dl.k8s.io", "https://github.com/etcd-io/etcd/releases/download", "https://github.com/containerd/containerd/releases/download",
		"https://github.com/opencontainers/runc/releases/download", "https://github.com/containernetworking/plugins/releases/download"},
}

// New is the table for a kind of host at a site.
func New(k Kind, s Site) (Table, error) {
	if !slices.Contains(Kinds, k) {
		return nil, fmt.Errorf("%q is no kind of host; wanted apt, dnf, zypper or binaries", k)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Repository = strings.TrimRight(s.Repository, "/"); s.Repository == "" {
		s.Repository = defaults.Repository
	}
	if len(s.Folders) == 0 {
		s.Folders = defaults.Folders
	}
	if len(s.Mirrors) == 0 {
		s.Mirrors = defaults.Mirrors
	}
	return k.with(s), nil
}

// with is the table, and the question whether it is in force.
func (k Kind) with(s Site) Table {
	stamp := k.table(defaults).stamp()
	return append(Table{usr("test", "whether this file is of the pawl that asks", "-n", stamp)}, k.table(s)...)
}

// table is the table without that question.
func (k Kind) table(s Site) Table {
	var t Table
	switch k {
	case Binaries:
		t = byHand(s)
	default:
		t = kubeadm(k, s)
	}
	return t
}

// check refuses what would be read as something else in the file, and names it as the option of `pawl sudoers`.
func (s Site) check() error {
	for _, said := range []struct {
		option string
		values []string
		check  func(option, value string) error
	}{
		{"--repository", []string{s.Repository}, checkAddress}, {"--mirror", s.Mirrors, checkAddress},
		{"--source-file", []string{s.SourceFile}, checkPath}, {"--keyring", []string{s.Keyring}, checkPath},
		{"--folder", s.Folders, checkPath}, {"--file", s.Files, checkPath},
	} {
		for _, value := range said.values {
			if err := said.check(said.option, value); value != "" && err != nil {
				return err
			}
		}
	}
	for _, hook := range s.Hooks {
		if err := checkHook(hook); err != nil {
			return err
		}
	}
	return nil
}

func checkAddress(option, address string) error {
	u, err := url.Parse(address)
	if err == nil && u.Scheme != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(address, " \t\r\n#") {
		return nil
	}
	is := fmt.Sprintf("%q", address)
	if strings.ContainsAny(address, "@?#") { // there may be a secret in it
		is = "an address with user, query or fragment"
	}
	return fmt.Errorf("%s is %s, wanted a plain address, such as %s", option, is, defaults.Repository)
}

func checkPath(option, file string) error {
	if !path.IsAbs(file) || path.Clean(file) != file || strings.ContainsAny(file, " \t\r\n#") {
		return fmt.Errorf("%s is %q, wanted a plain absolute path, such as %s", option, file, defaults.Folders[0])
	}
	return nil
}

func checkHook(argv []string) error {
	if len(argv) == 0 || !path.IsAbs(argv[0]) {
		return fmt.Errorf("--hook is %q, wanted the absolute path of a program, and its arguments", strings.Join(argv, " "))
	}
	for _, arg := range argv {
		if strings.ContainsAny(arg, " \t\r\n#") {
			return fmt.Errorf("--hook %s: sudo cannot tell an argument with a blank or a # from several; put the command into a script of the host and name that", argv[0])
		}
	}
	return nil
}
