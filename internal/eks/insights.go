package eks

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/pawl-dev/pawl/internal/aws"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// statuses are the outcomes of checks that are kept.
var statuses = map[types.InsightStatusValue]upgrade.InsightStatus{
	types.InsightStatusValueError: upgrade.InsightError, types.InsightStatusValueWarning: upgrade.InsightWarning, types.InsightStatusValueUnknown: upgrade.InsightUnknown,
}

// insights are EKS's checks about going on and going back: the summaries of all, and when the newest was made.
func (c *Cluster) insights(ctx context.Context) (all []types.InsightSummary, newest time.Time, err error) {
	pages := sdk.NewListInsightsPaginator(c.api, &sdk.ListInsightsInput{
		ClusterName: &c.config.Name, Filter: &types.InsightsFilter{Categories: []types.Category{types.CategoryUpgradeReadiness, types.CategoryRollbackReadiness}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, newest, looked("look at the insights of", c.target(), err)
		}
		for _, i := range page.Insights {
			all = append(all, i)
			if at := val(i.LastRefreshTime); at.After(newest) {
				newest = at
			}
		}
	}
	return all, newest, nil
}

// details are the checks that do not pass, errors first, each with what EKS recommends.
func (c *Cluster) details(ctx context.Context, all []types.InsightSummary) ([]upgrade.ManagedInsight, error) {
	var kept []upgrade.ManagedInsight
	for _, i := range all {
		if i.InsightStatus == nil || statuses[i.InsightStatus.Status] == "" {
			continue
		}
		v, _ := upgrade.ParseMinor(str(i.KubernetesVersion)) // zero: about all
		kept = append(kept, upgrade.ManagedInsight{
			ID: str(i.Id), Name: clip(str(i.Name)), Rollback: i.Category == types.CategoryRollbackReadiness, Version: v,
			Status: statuses[i.InsightStatus.Status], Reason: clip(str(i.InsightStatus.Reason)), RefreshedAt: val(i.LastRefreshTime),
		})
	}
	order := []upgrade.InsightStatus{upgrade.InsightError, upgrade.InsightWarning, upgrade.InsightUnknown}
	slices.SortStableFunc(kept, func(a, b upgrade.ManagedInsight) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Status), slices.Index(order, b.Status)), strings.Compare(a.Name, b.Name), a.Version.Compare(b.Version), strings.Compare(a.ID, b.ID))
	})
	kept = kept[:min(len(kept), insightsKept)]
	for n := range kept {
		if kept[n].Status == upgrade.InsightUnknown {
			continue
		}
		out, err := c.api.DescribeInsight(ctx, &sdk.DescribeInsightInput{ClusterName: &c.config.Name, Id: &kept[n].ID})
		if aws.Code(err) == notFound {
			continue // it was made anew since
		}
		if err != nil {
			return nil, looked("look at the insights of", c.target(), err)
		}
		kept[n].Recommendation = clip(str(out.Insight.Recommendation))
		for _, r := range out.Insight.Resources {
			name := cmp.Or(str(r.KubernetesResourceUri), str(r.Arn))
			if r.InsightStatus != nil && r.InsightStatus.Status == types.InsightStatusValuePassing || name == "" {
				continue
			}
			if len(kept[n].Resources) < issuesKept {
				kept[n].Resources = append(kept[n].Resources, clip(name))
			}
		}
	}
	return kept, nil
}

// RefreshInsights has EKS make its checks anew, waits until the newest is newer than before, and returns those that do not
// pass. A refresh that is under way may have looked before the caller's last change: another follows it.
func (c *Cluster) RefreshInsights(ctx context.Context) ([]upgrade.ManagedInsight, error) {
	const op = "refresh the insights of"
	_, before, err := c.insights(ctx)
	if err != nil {
		return nil, err
	}
	var kept []upgrade.ManagedInsight
	asked := false
	err = c.await(ctx, op, c.target(), func() (bool, string, error) {
		if !asked {
			lacks, err := c.askRefresh(ctx)
			if asked = err == nil && lacks == ""; !asked {
				return false, lacks, err
			}
		}
		out, err := c.api.DescribeInsightsRefresh(ctx, &sdk.DescribeInsightsRefreshInput{ClusterName: &c.config.Name})
		switch {
		case err != nil:
			return false, "", looked(op, c.target(), err)
		case out.Status == types.InsightsRefreshStatusFailed:
			return false, "", fault.New(fault.VerificationFailed, op, c.target(), "EKS could not make them: "+clip(str(out.Message)), "retry")
		case out.Status != types.InsightsRefreshStatusCompleted:
			return false, "the refresh is " + string(out.Status), nil
		}
		all, newest, err := c.insights(ctx)
		if err != nil {
			return false, "", err
		}
		if len(all) > 0 && !newest.After(before) {
			return false, "the newest is still of " + newest.UTC().Format(time.RFC3339), nil
		}
		kept, err = c.details(ctx, all)
		return true, "", err
	})
	return kept, err
}

// askRefresh asks for a refresh. lacks is why that has to wait.
func (c *Cluster) askRefresh(ctx context.Context) (lacks string, err error) {
	const op = "refresh the insights of"
	out, err := c.api.DescribeInsightsRefresh(ctx, &sdk.DescribeInsightsRefreshInput{ClusterName: &c.config.Name})
	switch {
	case err != nil && aws.Code(err) != notFound: // none was ever asked for
		return "", looked(op, c.target(), err)
	case err == nil && out.Status == types.InsightsRefreshStatusInProgress:
		return "an earlier refresh is under way", nil
	}
	_, asking := c.api.StartInsightsRefresh(ctx, &sdk.StartInsightsRefreshInput{ClusterName: &c.config.Name})
	if aws.Code(asking) == "" {
		return "", changed(op, c.target(), asking)
	}
	// It has no client token: what was refused may have been begun by a request whose answer was lost.
	out, err = c.api.DescribeInsightsRefresh(ctx, &sdk.DescribeInsightsRefreshInput{ClusterName: &c.config.Name})
	switch {
	case err == nil && out.Status == types.InsightsRefreshStatusInProgress:
		return "", nil
	case aws.Code(asking) == inUse:
		return "EKS is busy with it: " + clip(message(asking)), nil
	}
	return "", changed(op, c.target(), asking)
}
