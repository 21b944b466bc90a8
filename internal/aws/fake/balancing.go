package fake

import (
	"maps"
	"slices"
)

var balancerActions = map[string]func(*AWS, form) ([]elem, *refusal){
	"DescribeTargetHealth": describeTargetHealth,
	"RegisterTargets":      registerTargets,
	"DeregisterTargets":    deregisterTargets,
}

func describeTargetHealth(a *AWS, f form) ([]elem, *refusal) {
	targets, ok := a.Targets[f.Get("TargetGroupArn")]
	if !ok {
		return nil, refuse("TargetGroupNotFound", "One or more target groups not found")
	}
	return []elem{list("TargetHealthDescriptions", "member", slices.Sorted(maps.Keys(targets)), func(id string) []elem {
		return []elem{group("Target", text("Id", id), text("Port", 80)), group("TargetHealth", text("State", targets[id].State))}
	})}, nil
}

func registerTargets(a *AWS, f form) ([]elem, *refusal) {
	for _, p := range f.objects("Targets.member") {
		a.Targets[f.Get("TargetGroupArn")][f.Get(p+"Id")] = &Target{State: "initial"}
	}
	return nil, nil
}

func deregisterTargets(a *AWS, f form) ([]elem, *refusal) {
	for _, p := range f.objects("Targets.member") {
		if t := a.Targets[f.Get("TargetGroupArn")][f.Get(p+"Id")]; t != nil {
			t.State, t.left = "draining", draining
		}
	}
	return nil, nil
}
