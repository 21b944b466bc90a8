// Package awstest is what tests of the adapters of AWS have in common: the SDK without pauses, a moto to talk to, and blows
// that befall what is tried.
//
// Rule: only tests import it; it knows no adapter.
package awstest
