// Package eks upgrades a cluster of Amazon EKS through its own API: the control plane, the add-ons and the managed node
// groups.
//
// Rule: EKS does the work, and what it does is known by an update's id. A call looks for an update that is under way before
// it begins one, begins it with a client token that is the step's own, and follows that one update to its end; so a call
// that was cut off at any instant can be made again. Nothing that somebody else has begun is ever interfered with.
package eks
