package aws

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// interfering are the processes by which a group would change its machines by itself. Launch and Terminate are never among
// them: pawl's own changes go through those.
var interfering = []string{"AZRebalance", "AlarmNotification", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions"}

const opBegin = "ready"

// recorded reads how the group was from its tags. begun is false where no run has recorded that. A run of another pool is
// refused; an earlier run of the same pool is at an end, since the cluster's lock lets one upgrade at a time run: what it
// recorded is how the group was.
func (g *Group) recorded(v view, r upgrade.Replacement) (s snapshot, begun bool, err error) {
	text, begun := v.tags[tagBefore]
	if !begun {
		return s, false, nil
	}
	if v.tags[tagPool] != poolValue(r) {
		return s, true, fault.New(fault.PreflightFailed, opBegin, g.target(), "it is being replaced as pool "+v.tags[tagPool]+" (run "+v.tags[tagRun]+")",
			"wait for the end of that upgrade; if there is none, put the group's settings right by its tag "+tagBefore+", and remove its tags "+tagPrefix+"*")
	}
	if s, err = decode(text); err != nil {
		return s, true, err
	}
	return s.withTemplate(v.tags[tagTemplate]), true, nil
}

// Begin records how the group is, in its own tags, keeps it from changing its machines by itself, lets it grow by the surge,
// protects its machines from scale-in, and sets the launch template's version for new ones.
func (g *Group) Begin(ctx context.Context, r upgrade.Replacement, _ []upgrade.Machine) (json.RawMessage, error) {
	unlock, err := g.lock(ctx, g.config.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := g.look(ctx)
	if err != nil {
		return nil, err
	}
	s, err := g.recordBefore(ctx, v, r)
	if err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(s.Resume), func(p string) bool { return slices.Contains(v.suspended(), p) })
	if len(missing) > 0 {
		if _, err := g.api.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &g.config.Name, ScalingProcesses: missing}); err != nil {
			return nil, changed("suspend processes of", g.target(), err)
		}
	}
	if s, err = g.pin(ctx, v, r, s); err != nil {
		return nil, err
	}
	in := &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: &g.config.Name}
	if num(v.MaxSize) < s.Raised {
		in.MaxSize = &s.Raised
	}
	if !sdk.ToBool(v.NewInstancesProtectedFromScaleIn) {
		in.NewInstancesProtectedFromScaleIn = sdk.Bool(true)
	}
	if v.version() != s.Pinned {
		v.at(s.Pinned, in)
	}
	if err := g.update(ctx, in); err != nil {
		return nil, err
	}
	if err := g.protect(ctx, v, r, s); err != nil {
		return nil, err
	}
	if err := g.verifyBegun(ctx, s); err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// recordBefore records how the group is before anything of it is changed, or finds the record.
func (g *Group) recordBefore(ctx context.Context, v view, r upgrade.Replacement) (snapshot, error) {
	s, begun, err := g.recorded(v, r)
	if err != nil {
		return s, err
	}
	surge := int32(max(1, r.Surge))
	if !begun {
		f := &findings{target: g.target()}
		if g.hindrances(ctx, f, v); f.refusal(opBegin) != nil {
			return s, f.refusal(opBegin)
		}
		s = snapshot{Desired: num(v.DesiredCapacity), Max: num(v.MaxSize), Protect: sdk.ToBool(v.NewInstancesProtectedFromScaleIn), Template: v.version()}
		for _, p := range interfering {
			if !slices.Contains(v.suspended(), p) {
				s.Resume = append(s.Resume, p)
			}
		}
		source, err := g.version(ctx, v.template(), s.Template)
		if err != nil {
			return s, err
		}
		s.Source = numbered(source)
	}
	was := s.encode()
	s.Raised = max(s.Raised, s.Max, int32(len(v.counted()))+surge)
	s.Named = g.named()
	if begun && v.tags[tagRun] == value(r.Run) && s.encode() == was {
		return s, nil
	}
	if v.tags[tagRun] != value(r.Run) { // another run chooses anew what new machines are, and asks for its own
		s.Pinned, s.Made = "", false
		var stale []string
		for _, key := range sorted(v.tags) {
			if key == tagTemplate || strings.HasPrefix(key, tagWant) {
				stale = append(stale, key)
			}
		}
		if len(stale) > 0 {
			if err := g.forget(ctx, stale...); err != nil {
				return s, err
			}
		}
	}
	return s, g.record(ctx, map[string]string{tagBefore: s.encode(), tagPool: poolValue(r), tagRun: value(r.Run)})
}

// pin decides the numeric version of the launch template that new machines have, makes it if needed, and records it.
func (g *Group) pin(ctx context.Context, v view, r upgrade.Replacement, s snapshot) (snapshot, error) {
	if s.Pinned != "" {
		return s, nil
	}
	t := v.template()
	image, err := g.resolveImage(ctx, g.images(), r)
	if err != nil {
		return s, err
	}
	switch {
	case image != "":
		source, err := g.version(ctx, t, s.Source)
		if err != nil {
			return s, err
		}
		if source.LaunchTemplateData != nil && str(source.LaunchTemplateData.ImageId) == image {
			s.Pinned = s.Source
			break
		}
		// "made" stands in the tag before the version does, so that it is known for pawl's after an interruption.
		if s.Pinned, err = g.described(ctx, t, description(image, s.Source)); err != nil {
			return s, err
		}
		if s.Pinned == "" {
			s.Made = true
			pending := s
			pending.Pinned = "0"
			if err := g.record(ctx, map[string]string{tagTemplate: pending.encodeTemplate()}); err != nil {
				return s, err
			}
			if s.Pinned, err = g.makeVersion(ctx, t, image, s.Source, r.Run); err != nil {
				return s, err
			}
		}
	case g.config.TemplateVersion != "":
		version, err := g.version(ctx, t, g.config.TemplateVersion)
		if err != nil {
			return s, err
		}
		s.Pinned = numbered(version)
	default:
		s.Pinned = s.Source
	}
	return s, g.record(ctx, map[string]string{tagTemplate: s.encodeTemplate()})
}

// update sends an update that changes something.
func (g *Group) update(ctx context.Context, in *autoscaling.UpdateAutoScalingGroupInput) error {
	if in.MaxSize == nil && in.DesiredCapacity == nil && in.NewInstancesProtectedFromScaleIn == nil && in.LaunchTemplate == nil && in.MixedInstancesPolicy == nil {
		return nil
	}
	_, err := g.api.UpdateAutoScalingGroup(ctx, in)
	return changed("update", g.target(), err)
}

// protect marks the machines that are there before the run's own, and protects them from scale-in. Those that were not
// protected bear a tag before they are, so that they can be told from those that were.
func (g *Group) protect(ctx context.Context, v view, r upgrade.Replacement, s snapshot) error {
	var mark, bare, protect []string
	for _, m := range v.alive() {
		id := str(m.InstanceId)
		i, known := v.instances[id]
		if !known || tag(i, tagRun) == value(r.Run) {
			continue
		}
		if tag(i, tagOld) != value(r.Run) {
			mark = append(mark, id)
		}
		if sdk.ToBool(m.ProtectedFromScaleIn) {
			if tag(i, tagRun) != "" && !s.Protect && tag(i, tagUnprotect) == "" { // an earlier run's, whose End never came
				bare = append(bare, id)
			}
			continue
		}
		if protect = append(protect, id); tag(i, tagUnprotect) == "" {
			bare = append(bare, id)
		}
	}
	if err := g.label(ctx, map[string]string{tagOld: value(r.Run)}, mark...); err != nil {
		return err
	}
	if err := g.label(ctx, map[string]string{tagUnprotect: "yes"}, bare...); err != nil {
		return err
	}
	return g.setProtection(ctx, true, protect...)
}

// setProtection protects machines from scale-in, or lets them go.
func (g *Group) setProtection(ctx context.Context, on bool, ids ...string) error {
	const most = 50 // ids in one request
	for part := range slices.Chunk(ids, most) {
		_, err := g.api.SetInstanceProtection(ctx, &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: &g.config.Name, InstanceIds: part, ProtectedFromScaleIn: &on})
		if err != nil {
			return changed("set the protection from scale-in of", part[0], err)
		}
	}
	return nil
}

// verifyBegun looks whether the group is as Begin leaves it.
func (g *Group) verifyBegun(ctx context.Context, s snapshot) error {
	v, err := g.look(ctx)
	if err != nil {
		return err
	}
	lacks := ""
	switch {
	case v.tags[tagBefore] == "":
		lacks = "it has lost its tag " + tagBefore
	case slices.ContainsFunc(interfering, func(p string) bool { return !slices.Contains(v.suspended(), p) }):
		lacks = "not all of its processes are suspended"
	case num(v.MaxSize) < s.Raised, v.version() != s.Pinned, !sdk.ToBool(v.NewInstancesProtectedFromScaleIn):
		lacks = "it is not as it was set"
	}
	if lacks != "" {
		return fault.New(fault.Conflict, opBegin, g.target(), lacks, "somebody else changes the group: have them stop until the end of the upgrade")
	}
	return nil
}
