package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/pawl-dev/pawl/workflows"
)

// attributesPatience bounds each question about search attributes.
const attributesPatience = 10 * time.Second

// ensureSearchAttributes adds the search attributes of pawl's workflows that a namespace lacks. It fails when one may not
// be added, or is of another type: Temporal lets no workflow go on that sets such an attribute, and a worker that would
// start upgrades only to leave them stuck must not start.
func ensureSearchAttributes(ctx context.Context, operator operatorservice.OperatorServiceClient, namespace string) error {
	lacks, err := lackingAttributes(ctx, operator, namespace)
	if err != nil || len(lacks) == 0 {
		return err
	}
	adding, cancel := context.WithTimeout(ctx, attributesPatience)
	defer cancel()
	_, err = operator.AddSearchAttributes(adding, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: lacks})
	if exists := (*serviceerror.AlreadyExists)(nil); err != nil && !errors.As(err, &exists) { // else another worker was faster
		return fmt.Errorf("search attributes of namespace %s: it lacks %s, and they cannot be added (%w); add them with: %s",
			namespace, strings.Join(slices.Sorted(maps.Keys(lacks)), ", "), err, createCommand(namespace, lacks))
	}
	for len(lacks) > 0 && adding.Err() == nil { // servers read namespaces anew after some seconds
		time.Sleep(100 * time.Millisecond)
		if lacks, err = lackingAttributes(ctx, operator, namespace); err != nil {
			return err
		}
	}
	return nil
}

// lackingAttributes are those that the namespace does not know.
func lackingAttributes(
	ctx context.Context, operator operatorservice.OperatorServiceClient, namespace string,
) (map[string]enumspb.IndexedValueType, error) {
	ctx, cancel := context.WithTimeout(ctx, attributesPatience)
	defer cancel()
	wanted := workflows.IndexedValueTypes()
	has, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("search attributes of namespace %s: they cannot be listed (%w); let this worker list them", namespace, err)
	}
	lacks := map[string]enumspb.IndexedValueType{}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		switch is, there := has.GetCustomAttributes()[name]; {
		case !there:
			lacks[name] = wanted[name]
		case is != wanted[name]:
			return nil, fmt.Errorf("search attributes of namespace %s: %s is of type %s, wanted %s; remove it with: "+
				"temporal operator search-attribute remove --namespace %s --name %s", namespace, name, is, wanted[name], namespace, name)
		}
	}
	return lacks, nil
}

// createCommand is what a person who may add search attributes types.
// Source: https://docs.temporal.io/cli/command-reference/operator#search-attribute
func createCommand(namespace string, lacks map[string]enumspb.IndexedValueType) string {
	command := "temporal operator search-attribute create --namespace " + namespace
	for _, name := range slices.Sorted(maps.Keys(lacks)) {
		command += fmt.Sprintf(" --name %s --type %s", name, lacks[name])
	}
	return command
}
