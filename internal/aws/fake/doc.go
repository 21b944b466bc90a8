// Package fake is a small AWS for tests: what internal/aws uses of EC2, Auto Scaling and Elastic Load Balancing, over HTTP
// and for the real SDK.
//
// Rule: it is as unkind as AWS may be. Nothing is there at once; what has no client token is done twice when asked twice; an
// answer may be lost after the deed. Nothing in it goes by the clock: each request moves everything one step on. What it does
// not know it refuses.
package fake
