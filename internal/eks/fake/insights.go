package fake

import (
	"net/url"
	"slices"
)

func (i *Insight) summary() object {
	o := object{"id": i.ID, "name": i.Name, "category": i.Category, "description": "checks something", "insightStatus": object{"status": i.Status, "reason": i.Reason}}
	if i.Version != "" {
		o["kubernetesVersion"] = i.Version
	}
	if !i.Refreshed.IsZero() {
		o["lastRefreshTime"] = i.Refreshed.Unix()
	}
	return o
}

func listInsights(e *EKS, r request) (object, *refusal) {
	var in struct {
		Filter struct {
			Categories []string
		}
		NextToken string
	}
	if no := r.read(&in); no != nil {
		return nil, no
	}
	all := []object{}
	for _, i := range e.Insights {
		if len(in.Filter.Categories) == 0 || slices.Contains(in.Filter.Categories, i.Category) {
			all = append(all, i.summary())
		}
	}
	return page(url.Values{"nextToken": {in.NextToken}}, "insights", all), nil
}

func describeInsight(e *EKS, r request) (object, *refusal) {
	for _, i := range e.Insights {
		if i.ID != r.PathValue("id") {
			continue
		}
		o, resources := i.summary(), []object{}
		for _, uri := range i.Resources {
			resources = append(resources, object{"kubernetesResourceUri": uri, "insightStatus": object{"status": i.Status}})
		}
		o["recommendation"], o["resources"] = i.Recommendation, resources
		return object{"insight": o}, nil
	}
	return nil, refuse(404, "ResourceNotFoundException", "No insight found for ID: %s", r.PathValue("id"))
}

func startRefresh(e *EKS, _ request) (object, *refusal) {
	if e.refresh != nil && e.refresh.status == "IN_PROGRESS" {
		return nil, refuse(400, "InvalidRequestException", "An insights refresh is already in progress")
	}
	e.refresh = &refresh{began: e.Now(), left: refreshing, status: "IN_PROGRESS"}
	return object{"status": "IN_PROGRESS", "message": "started"}, nil
}

func describeRefresh(e *EKS, _ request) (object, *refusal) {
	if e.refresh == nil {
		return nil, refuse(404, "ResourceNotFoundException", "No insights refresh found")
	}
	o := object{"status": e.refresh.status, "message": "a refresh", "startedAt": e.refresh.began.Unix()}
	if !e.refresh.ended.IsZero() {
		o["endedAt"] = e.refresh.ended.Unix()
	}
	return o, nil
}
