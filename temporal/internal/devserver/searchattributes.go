package devserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// pawlAttributes are the search attributes that pawl's workflows set: the same as workflows.SearchAttributes, which is in
// another module. A test of pawl's CLI compares them.
var pawlAttributes = map[string]enumspb.IndexedValueType{
	"PawlCluster":   enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"PawlTarget":    enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"PawlPhase":     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"PawlState":     enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"PawlHeldAt":    enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"PawlNodes":     enumspb.INDEXED_VALUE_TYPE_INT,
	"PawlNodesDone": enumspb.INDEXED_VALUE_TYPE_INT,
}

// attributes are pawl's search attributes and the ones asked for.
func (o *Options) attributes() map[string]enumspb.IndexedValueType {
	all := maps.Clone(pawlAttributes)
	maps.Copy(all, o.SearchAttributes)
	return all
}

// registerSearchAttributes adds what a namespace lacks: one that is made now has them already, one from before takes no
// new ones from its configuration. It returns when they count.
func registerSearchAttributes(
	ctx context.Context, c client.Client, namespaces []string, attributes map[string]enumspb.IndexedValueType,
) error {
	for _, ns := range namespaces {
		for added := false; ; added = true {
			missing, err := missingAttributes(ctx, c, ns, attributes)
			if err != nil {
				return err
			}
			if len(missing) == 0 {
				break
			}
			if !added {
				if err := addAttributes(ctx, c, ns, missing); err != nil {
					return err
				}
			}
			select { // the server reads namespaces anew every 2 s
			case <-ctx.Done():
				return fmt.Errorf("add search attributes to %s: %w", ns, ctx.Err())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

func missingAttributes(
	ctx context.Context, c client.Client, ns string, attributes map[string]enumspb.IndexedValueType,
) (map[string]enumspb.IndexedValueType, error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: ns})
	if err != nil {
		return nil, fmt.Errorf("list search attributes of %s: %w", ns, err)
	}
	missing := maps.Clone(attributes)
	for name := range have.GetCustomAttributes() {
		delete(missing, name)
	}
	return missing, nil
}

func addAttributes(ctx context.Context, c client.Client, ns string, missing map[string]enumspb.IndexedValueType) error {
	_, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: ns, SearchAttributes: missing,
	})
	if exists := (*serviceerror.AlreadyExists)(nil); err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("add search attributes to %s: %w", ns, err)
	}
	return nil
}
