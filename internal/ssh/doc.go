// Package ssh runs commands on hosts over SSH.
//
// Rules: the host's key is always checked against a known_hosts file. Every argument is quoted, so that a command is
// an argument vector and never a line of shell. An error says what is known of the command: Unreachable when it
// cannot have been started, OutcomeUnknown when it may have been. No error holds a key, a passphrase or what was sent
// to the command's standard input.
package ssh
