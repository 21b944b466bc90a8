package aws

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const opEnd = "put back"

// End puts the group back as it was before Begin. The new version of the launch template stays where a machine was replaced.
// Nothing that End does ends a machine or makes one beyond the group's own desired capacity: where there are more machines
// than before, the desired capacity and if need be the maximum stay so high.
func (g *Group) End(ctx context.Context, r upgrade.Replacement, kept json.RawMessage) error {
	return g.await(ctx, opEnd, g.target(), func() (bool, string, error) {
		unlock, err := g.lock(ctx, g.config.Name)
		if err != nil {
			return false, "", err
		}
		defer unlock()
		lacks, err := g.restore(ctx, r, kept)
		return err == nil && lacks == "", lacks, err
	})
}

// restore does what is left to do. The group's tags go last: until then it can be done again from the start.
func (g *Group) restore(ctx context.Context, r upgrade.Replacement, kept json.RawMessage) (lacks string, err error) {
	v, err := g.look(ctx)
	if err != nil {
		return "", err
	}
	s, begun, err := g.recorded(v, r)
	if err != nil {
		return "", err
	}
	if !begun && len(kept) == 0 {
		return "", nil // it never began, or has been put back
	}
	if len(kept) > 0 { // it outlives tags that somebody removed
		if err := json.Unmarshal(kept, &s); err != nil {
			return "", fault.Wrap(fault.InvalidInput, opEnd, g.target(), err, "")
		}
	}
	s, err = g.versionMade(ctx, v, r, s)
	if err != nil {
		return "", err
	}
	in := &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: &g.config.Name}
	g.sizes(v, s, in)
	if sdk.ToBool(v.NewInstancesProtectedFromScaleIn) && !s.Protect {
		in.NewInstancesProtectedFromScaleIn = sdk.Bool(false)
	}
	back, err := g.versionAfter(ctx, v, s)
	if err != nil {
		return "", err
	}
	if back != "" && back != v.version() {
		v.at(back, in)
	}
	if err := g.update(ctx, in); err != nil {
		return "", err
	}
	if s.Made && !v.replaced() && s.Pinned != "" {
		if there, err := g.ownVersion(ctx, v, s); err != nil {
			return "", err
		} else if there {
			if err := g.deleteVersion(ctx, v.template(), s.Pinned); err != nil {
				return "", err
			}
		}
	}
	if lacks, err := g.unprotect(ctx, v, r, s); err != nil || lacks != "" {
		return lacks, err
	}
	resume := slices.DeleteFunc(slices.Clone(s.Resume), func(p string) bool { return !slices.Contains(v.suspended(), p) })
	if len(resume) > 0 {
		if _, err := g.api.ResumeProcesses(ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: &g.config.Name, ScalingProcesses: resume}); err != nil {
			return "", changed("resume processes of", g.target(), err)
		}
	}
	var tags []string
	for _, key := range sorted(v.tags) {
		if strings.HasPrefix(key, tagPrefix) && key != tagBefore {
			tags = append(tags, key)
		}
	}
	if _, ok := v.tags[tagBefore]; !ok {
		return "", nil
	}
	return "", g.forget(ctx, append(tags, tagBefore)...)
}

// sizes puts desired capacity and maximum back. What somebody else made of the maximum stays.
func (g *Group) sizes(v view, s snapshot, in *autoscaling.UpdateAutoScalingGroupInput) {
	desired := max(s.Desired, int32(len(v.alive())))
	if num(v.DesiredCapacity) != desired {
		in.DesiredCapacity = &desired
	}
	most := num(v.MaxSize)
	if most == s.Raised {
		most = s.Max
	}
	if most = max(most, desired); most != num(v.MaxSize) {
		in.MaxSize = &most
	}
}

// replaced reports whether an old machine has been ended, so that the group is on its way to the new version.
func (v view) replaced() bool {
	if v.tags[tagReplaced] != "" {
		return true
	}
	for _, i := range v.instances { // in case that somebody removed the tag
		if old := tag(i, tagReplaces); old != "" {
			if _, there := v.member(old); !there {
				return true
			}
		}
	}
	return false
}

// versionAfter is the launch template's version that the group is to have: "" where somebody else has changed it, and it
// stays. A group that followed $Latest or $Default does so again where that leads to the same version.
func (g *Group) versionAfter(ctx context.Context, v view, s snapshot) (string, error) {
	if v.specification() == nil || s.Pinned == "" || v.version() != s.Pinned {
		return "", nil
	}
	if !s.Named || !v.replaced() {
		return s.Template, nil
	}
	if s.Template != latest && s.Template != preset {
		return s.Pinned, nil
	}
	followed, err := g.version(ctx, v.template(), s.Template)
	if err != nil {
		return "", err
	}
	if numbered(followed) == s.Pinned {
		return s.Template, nil
	}
	return s.Pinned, nil
}

// versionMade finds the version that pawl made, where its number was lost between the making and the recording.
func (g *Group) versionMade(ctx context.Context, v view, r upgrade.Replacement, s snapshot) (snapshot, error) {
	if !s.Made || s.Pinned != "" || v.specification() == nil {
		return s, nil
	}
	image, err := g.resolveImage(ctx, g.images(), r)
	if err != nil {
		return s, err
	}
	s.Pinned, err = g.described(ctx, v.template(), description(image, s.Source))
	return s, err
}

// ownVersion reports whether the version that pawl made is there, and is pawl's.
func (g *Group) ownVersion(ctx context.Context, v view, s snapshot) (bool, error) {
	found, err := g.version(ctx, v.template(), s.Pinned)
	if fault.Is(err, fault.PreflightFailed) {
		return false, nil
	}
	return err == nil && strings.HasPrefix(str(found.VersionDescription), "pawl: "), err
}

// unprotect gives each machine the protection from scale-in that it had, new ones that which the group gives them. One on
// its way into service cannot be changed, and is waited for.
func (g *Group) unprotect(ctx context.Context, v view, r upgrade.Replacement, s snapshot) (lacks string, err error) {
	var bare, marked []string
	for _, m := range v.alive() {
		id := str(m.InstanceId)
		i := v.instances[id]
		fresh := tag(i, tagRun) == value(r.Run)
		if tag(i, tagOld) != "" || tag(i, tagUnprotect) != "" {
			marked = append(marked, id)
		}
		if !sdk.ToBool(m.ProtectedFromScaleIn) || tag(i, tagUnprotect) == "" && (!fresh || s.Protect) {
			continue
		}
		if m.LifecycleState != types.LifecycleStateInService {
			lacks = id + " is " + string(m.LifecycleState) + ", and can be changed once it is in service"
			continue
		}
		bare = append(bare, id)
	}
	if err := g.setProtection(ctx, false, bare...); err != nil {
		return "", err
	}
	if lacks != "" {
		return lacks, nil
	}
	return "", g.unlabel(ctx, []string{tagOld, tagUnprotect}, marked...)
}
