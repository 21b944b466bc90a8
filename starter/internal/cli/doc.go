// Package cli is the pawl command: flags in, text and exit codes out.
//
// Rule: a command reads its input, calls, and renders; what it decides is in the packages that it calls.
package cli
