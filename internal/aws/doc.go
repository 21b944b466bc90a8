// Package aws makes and removes worker nodes on AWS: machines of an Auto Scaling group (Group), and plain EC2 instances
// (Instances).
//
// Rule: whatever a call must remember stands in AWS itself, as tags of the group and of the instances, so that a call that
// was cut off at any instant can be made again. Each step looks, acts if needed, and looks again. No machine is ever ended
// but the one that the caller names.
package aws
