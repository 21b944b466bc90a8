// Package systemd holds the units of pawl-worker; its test has systemd itself read them.
package systemd
