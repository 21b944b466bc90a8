// Package dev runs what one engineer needs on one machine: a Temporal server on a file, and a worker.
//
// Rule: both live and die with the command, in whatever way it ends; what they had begun is in the file, and goes on
// at the next start.
package dev
