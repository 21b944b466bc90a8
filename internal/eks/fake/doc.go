// Package fake is an EKS for tests: one cluster with its updates, insights, add-ons and node groups, and what is asked of EC2
// about it, over HTTP as the SDK speaks it.
//
// Rule: it is built from the service's own model and documentation, and knows nothing of the adapter that is tried on it.
// Time passes by requests: an update is so many requests long.
package fake
