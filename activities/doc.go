// Package activities is what pawl does to the world, one verb per method.
//
// Rule: every activity observes, acts only if needed, and verifies the effect. It can be killed at any instant and run
// again. It never sequences several steps: that is what workflows are for. It knows interfaces, not client-go or SSH.
package activities
