package fake

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// serveEC2 answers the two questions that are asked of EC2.
func (e *EKS) serveEC2(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name, answer := r.PostForm.Get("Action"), ""
	no := e.fated(name, "RequestLimitExceeded", func() (no *refusal) {
		switch {
		case e.Forbidden[name]:
			return refuse(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
		case name == "DescribeSubnets":
			answer = e.subnets()
		case name == "DescribeLaunchTemplateVersions":
			answer, no = e.templates(r.PostForm.Get("LaunchTemplateId"), r.PostForm.Get("LaunchTemplateVersion.1"))
		default:
			return refuse(400, "InvalidAction", "The action %s is not valid for this web service.", name)
		}
		return no
	})
	w.Header().Set("Content-Type", "text/xml")
	if no != nil {
		w.WriteHeader(no.status)
		answer = fmt.Sprintf("<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors></Response>", no.code, no.message)
	}
	_, _ = io.WriteString(w, xml.Header+answer)
}

func (e *EKS) subnets() string {
	s := ""
	for _, id := range slices.Sorted(maps.Keys(e.Subnets)) {
		s += fmt.Sprintf("<item><subnetId>%s</subnetId><availabilityZone>zone-of-%s</availabilityZone><availableIpAddressCount>%d</availableIpAddressCount></item>", id, id, e.Subnets[id])
	}
	return "<DescribeSubnetsResponse><subnetSet>" + s + "</subnetSet></DescribeSubnetsResponse>"
}

func (e *EKS) templates(id, version string) (string, *refusal) {
	t := e.Templates[id]
	if t == nil {
		return "", refuse(400, "InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	}
	n, _ := strconv.Atoi(version)
	switch version {
	case "$Default":
		n = t.Default
	case "$Latest":
		n = len(t.Images)
	}
	if n < 1 || n > len(t.Images) {
		return "", refuse(400, "InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version %s.", version)
	}
	return fmt.Sprintf("<DescribeLaunchTemplateVersionsResponse><launchTemplateVersionSet><item><launchTemplateId>%s</launchTemplateId><versionNumber>%d</versionNumber><launchTemplateData><imageId>%s</imageId></launchTemplateData></item></launchTemplateVersionSet></DescribeLaunchTemplateVersionsResponse>", id, n, t.Images[n-1]), nil
}
