// Package view renders plans, statuses and reports as text.
//
// Rule: pure. Time, colour and width are arguments; the same input gives the same text.
package view
