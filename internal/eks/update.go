package eks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/pawl-dev/pawl/internal/aws"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// token is the client token of a step: the same request under the same token is carried out once.
func token(parts ...string) *string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	t := "pawl-" + hex.EncodeToString(sum[:16])
	return &t
}

// part is what an update is of: the control plane where both are nil.
type part struct{ addon, group *string }

func (p part) String() string { return str(p.addon) + "/" + str(p.group) }

// updates are all updates of a part. What came to its end is asked for once.
func (c *Cluster) updates(ctx context.Context, p part) ([]types.Update, error) {
	const op = "look at the updates of"
	var all []types.Update
	pages := sdk.NewListUpdatesPaginator(c.api, &sdk.ListUpdatesInput{Name: &c.config.Name, AddonName: p.addon, NodegroupName: p.group})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, looked(op, c.target(), err)
		}
		for _, id := range page.UpdateIds {
			u, err := c.update(ctx, p, id)
			if err != nil {
				return nil, err
			}
			all = append(all, u)
		}
	}
	return all, nil
}

// update is one update as it is now.
func (c *Cluster) update(ctx context.Context, p part, id string) (types.Update, error) {
	key := p.String() + "/" + id
	if was, ok := c.ended.Load(key); ok {
		return was.(types.Update), nil
	}
	out, err := c.api.DescribeUpdate(ctx, &sdk.DescribeUpdateInput{Name: &c.config.Name, UpdateId: &id, AddonName: p.addon, NodegroupName: p.group})
	if err != nil {
		return types.Update{}, looked("look at update "+id+" of", c.target(), err)
	}
	if ended(*out.Update) {
		c.ended.Store(key, *out.Update)
	}
	return *out.Update, nil
}

// ended reports whether an update came to its end. A state that is not known is one on the way.
func ended(u types.Update) bool {
	switch u.Status {
	case types.UpdateStatusSuccessful, types.UpdateStatusFailed, types.UpdateStatusCancelled:
		return true
	}
	return false
}

// busy is the update of a part that is under way, or nil.
func (c *Cluster) busy(ctx context.Context, p part) (*types.Update, error) {
	all, err := c.updates(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, u := range all {
		if !ended(u) {
			return &u, nil
		}
	}
	return nil, nil
}

// param is one of the parameters that an update was asked for with.
func param(u types.Update, of types.UpdateParamType) string {
	for _, p := range u.Params {
		if p.Type == of {
			return str(p.Value)
		}
	}
	return ""
}

// described is the update as a plan knows it.
func described(u types.Update) *upgrade.ManagedUpdate {
	d := &upgrade.ManagedUpdate{ID: str(u.Id), Type: string(u.Type), Status: string(u.Status), Started: val(u.CreatedAt)}
	switch version, addon, template := param(u, types.UpdateParamTypeVersion), param(u, types.UpdateParamTypeAddonVersion), param(u, types.UpdateParamTypeLaunchTemplateVersion); {
	case version != "":
		d.To = "v" + version
	case addon != "":
		d.To = addon
	case template != "":
		d.To = "template version " + template
	}
	for i, e := range u.Errors {
		if i < issuesKept {
			d.Errors = append(d.Errors, upgrade.ManagedIssue{Code: string(e.ErrorCode), Message: clip(str(e.ErrorMessage))})
		}
	}
	return d
}

// change is a change of one part, as each of them is carried out.
type change struct {
	part
	op, target string
	kind       types.UpdateType
	param      types.UpdateParamType // that says what it leads to
	to         string                // the parameter's value
	// look says what runs now, and whether that is what is wanted; lacks is that it is not at rest. An error forbids to begin.
	look func(context.Context) (at string, there bool, lacks string, err error)
	// start begins it.
	start func(context.Context) (*types.Update, error)
}

// is reports whether an update is this change, whoever began it.
func (ch change) is(u types.Update) bool { return u.Type == ch.kind && param(u, ch.param) == ch.to }

// carryOut adopts the change where it is under way, begins it where it is not, and waits for its end.
func (c *Cluster) carryOut(ctx context.Context, ch change) (upgrade.ManagedOutcome, error) {
	var out upgrade.ManagedOutcome
	err := c.await(ctx, ch.op, ch.target, func() (done bool, lacks string, err error) {
		if out.Update == "" {
			if done, lacks, err = c.begin(ctx, ch, &out); out.Update == "" {
				return done, lacks, err
			}
		}
		u, err := c.update(ctx, ch.part, out.Update)
		switch {
		case err != nil:
			return false, "", err
		case !ended(u):
			return false, "update " + out.Update + " is " + string(u.Status), nil
		case u.Status != types.UpdateStatusSuccessful:
			return false, "", failed(ch.op, ch.target, u)
		}
		at, there, lacks, err := ch.look(ctx)
		out.Version = at
		if there = there && lacks == ""; lacks == "" {
			lacks = "it is " + at
		}
		return there, "update " + out.Update + " is Successful, yet " + lacks, err
	})
	return out, err
}

// begin finds the update to follow, and names it in out, or finds that there is nothing to do.
func (c *Cluster) begin(ctx context.Context, ch change, out *upgrade.ManagedOutcome) (done bool, lacks string, err error) {
	busy, err := c.busy(ctx, ch.part)
	if err != nil {
		return false, "", err
	}
	if busy != nil && ch.is(*busy) {
		out.Update, out.Adopted = str(busy.Id), true
		return false, "", nil
	}
	at, there, lacks, err := ch.look(ctx)
	out.Version = at
	switch {
	case err != nil:
		return false, "", err
	case there && (lacks == "" || busy != nil): // what else is under way does not matter any more
		return true, "", nil
	case busy != nil:
		return false, "", fault.New(fault.PreflightFailed, ch.op, ch.target, "somebody else's "+described(*busy).String()+" is under way", "wait for its end, then retry")
	case lacks != "":
		return false, lacks, nil
	}
	u, err := ch.start(ctx)
	switch {
	case aws.Code(err) == inUse:
		// Somebody was faster, and will be seen at the next look; or EKS is at work by itself, which it does not show.
		return false, "EKS is busy with it: " + clip(message(err)), nil
	case err != nil:
		return false, "", changed(ch.op, ch.target, err)
	case u == nil || str(u.Id) == "":
		return false, "", fault.New(fault.OutcomeUnknown, ch.op, ch.target, "EKS named no update", "")
	}
	out.Update = str(u.Id)
	return false, "", nil
}
