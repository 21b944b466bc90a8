package devserver

import (
	"context"
	"errors"
	"fmt"
	"maps"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// pawlAttributes are the search attributes that pawl's workflows set. None so far.
var pawlAttributes = map[string]enumspb.IndexedValueType{}

// registerSearchAttributes adds what a namespace lacks. It runs at every start, because a namespace takes new
// attributes from its configuration only at its creation.
func registerSearchAttributes(
	ctx context.Context, c client.Client, namespaces []string, asked map[string]enumspb.IndexedValueType,
) error {
	attributes := maps.Clone(pawlAttributes)
	maps.Copy(attributes, asked)
	if len(attributes) == 0 {
		return nil
	}
	for _, ns := range namespaces {
		have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: ns})
		if err != nil {
			return fmt.Errorf("list search attributes of %s: %w", ns, err)
		}
		missing := maps.Clone(attributes)
		for name := range have.GetCustomAttributes() {
			delete(missing, name)
		}
		if len(missing) == 0 {
			continue
		}
		_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: ns, SearchAttributes: missing,
		})
		var exists *serviceerror.AlreadyExists
		if err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("add search attributes to %s: %w", ns, err)
		}
	}
	return nil
}
