package aws

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// raise has the group make a machine by its desired capacity, where LaunchInstances does not work. Which machine it makes is
// known by its tags: of this run, and no slot's.
func (g *Group) raise(ctx context.Context, v view, r upgrade.Replacement, w want, zone string) (made upgrade.Machine, lacks string, err error) {
	asked := wants(v.tags)
	if free := v.unclaimed(r.Run); len(free) >= max(1, len(open(asked, v.claimed()))) {
		lacks, err = g.claim(ctx, r, w, str(choose(free, zone, false).InstanceId))
		return made, lacks, err
	}
	if n := v.needed(r.Run, asked); num(v.DesiredCapacity) < n {
		if w.since == noActivity { // what failed before is not this launch
			if w.since, err = g.latestActivity(ctx); err != nil {
				return made, "", err
			}
			if err := g.record(ctx, map[string]string{tagWant + w.key: w.encode()}); err != nil {
				return made, "", err
			}
		}
		return made, "the group has been asked for a machine", g.setDesired(ctx, n)
	}
	failed, why, err := g.failedActivity(ctx, w.since)
	if err != nil || !failed {
		return made, "the group makes a machine", err
	}
	return made, "", g.refused(ctx, r, w, codeIn(why), why, nil)
}

// noActivity stands for the latest activity of a group that has noActivity, or before it was looked up.
const noActivity = "-"

func (g *Group) activities(ctx context.Context) ([]types.Activity, error) {
	most := int32(50)
	out, err := g.api.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: &g.config.Name, MaxRecords: &most})
	if err != nil {
		return nil, looked("look at the activities of", g.target(), err)
	}
	return out.Activities, nil
}

// latestActivity is the id of the group's latest, or none.
func (g *Group) latestActivity(ctx context.Context) (string, error) {
	all, err := g.activities(ctx)
	if err != nil || len(all) == 0 {
		return noActivity, err
	}
	return str(all[0].ActivityId), nil
}

// failedActivity finds the latest that came after since, and reports whether it is a launch that failed, and why.
func (g *Group) failedActivity(ctx context.Context, since string) (failed bool, why string, err error) {
	all, err := g.activities(ctx)
	if err != nil {
		return false, "", err
	}
	for _, a := range all {
		if str(a.ActivityId) == since {
			break
		}
		if !strings.HasPrefix(str(a.Description), "Launching") {
			continue
		}
		return a.StatusCode == types.ScalingActivityStatusCodeFailed || a.StatusCode == types.ScalingActivityStatusCodeCancelled, str(a.StatusMessage), nil
	}
	return false, "", nil
}

// codeIn is the code that an activity's message stands for: it holds words instead.
func codeIn(message string) string {
	for words, code := range map[string]string{
		"do not have sufficient": "InsufficientInstanceCapacity",
		"vCPU":                   "VcpuLimitExceeded",
		"instance limit":         "InstanceLimitExceeded",
		"free addresses":         "InsufficientFreeAddressesInSubnet",
		"Spot request":           "MaxSpotInstanceCountExceeded",
	} {
		if strings.Contains(message, words) {
			return code
		}
	}
	for _, r := range refusals {
		for _, code := range r.Codes {
			if strings.Contains(message, code) {
				return code
			}
		}
	}
	return "a failed launch"
}
