// Command image makes pawl's container image of programs that are built already, and pushes it, without a container
// engine.
//
// Rule: the same programs, version, revision and date give the same image, to the byte: every file has one owner, one
// date and one place, and nothing is taken from the machine that packs.
package main
