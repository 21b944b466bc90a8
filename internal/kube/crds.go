package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// definition is what matters of a CustomResourceDefinition. Its schemas, which are most of it, are not kept.
type definition struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Versions []struct {
			Name    string `json:"name"`
			Served  bool   `json:"served"`
			Storage bool   `json:"storage"`
		} `json:"versions"`
	} `json:"spec"`
	Status struct {
		StoredVersions []string `json:"storedVersions"`
	} `json:"status"`
}

// crdPage is how many definitions are read at once: one may have a megabyte.
const crdPage = 50

// storedVersions finds custom resources that may be stored in another version than the one that is stored now: whoever
// removes that version later, as a newer release of an operator does, makes them unreadable.
func (c *Cluster) storedVersions(ctx context.Context) ([]upgrade.Finding, error) {
	const op = "list CustomResourceDefinitions of"
	var found []upgrade.Finding
	for next := ""; ; {
		ctx, cancel := bounded(ctx)
		body, err := c.client.Discovery().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").
			Param("limit", strconv.Itoa(crdPage)).Param("continue", next).DoRaw(ctx)
		cancel()
		if err != nil {
			return nil, c.classify(op, c.name, err)
		}
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []definition `json:"items"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fault.Wrap(fault.Unreachable, op, c.name, err, "")
		}
		for _, d := range page.Items {
			if f, is := checkDefinition(d); is {
				found = append(found, f)
			}
		}
		if next = page.Metadata.Continue; next == "" {
			return found, nil
		}
	}
}

func checkDefinition(d definition) (upgrade.Finding, bool) {
	var old, unserved []string
	storage := ""
	for _, v := range d.Spec.Versions {
		stored := slices.Contains(d.Status.StoredVersions, v.Name)
		switch {
		case v.Storage:
			storage = v.Name
		case stored && !v.Served:
			unserved = append(unserved, v.Name)
		case stored:
			old = append(old, v.Name)
		}
	}
	f := upgrade.Finding{ID: upgrade.StoredVersion, Severity: upgrade.SeverityWarning, Target: d.Metadata.Name,
		Remedy: "store its objects anew, then take the old version out of status.storedVersions, before an operator's update removes it",
		Source: "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#upgrade-existing-objects-to-a-new-stored-version"}
	switch {
	case len(unserved) > 0:
		f.Message = fmt.Sprintf("objects may be stored in %s, which is not served any more", strings.Join(unserved, ", "))
	case len(old) > 0:
		f.Message = fmt.Sprintf("objects may be stored in %s still; now it is %s", strings.Join(old, ", "), storage)
	default:
		return f, false
	}
	return f, true
}
