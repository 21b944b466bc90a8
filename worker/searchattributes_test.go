package main

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc"

	"github.com/pawl-dev/pawl/workflows"
)

// operator stands in for Temporal's operator service.
type operator struct {
	operatorservice.OperatorServiceClient
	has        map[string]enumspb.IndexedValueType
	list, add  error
	timesAdded int
}

func (o *operator) ListSearchAttributes(
	context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption,
) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: o.has}, o.list
}

func (o *operator) AddSearchAttributes(
	_ context.Context, in *operatorservice.AddSearchAttributesRequest, _ ...grpc.CallOption,
) (*operatorservice.AddSearchAttributesResponse, error) {
	o.timesAdded++
	if exists := (*serviceerror.AlreadyExists)(nil); o.add == nil || errors.As(o.add, &exists) {
		maps.Copy(o.has, in.GetSearchAttributes())
	}
	return nil, o.add
}

func TestSearchAttributesThatLackAreAddedOnce(t *testing.T) {
	o := &operator{has: map[string]enumspb.IndexedValueType{"Other": enumspb.INDEXED_VALUE_TYPE_TEXT, "PawlNodes": enumspb.INDEXED_VALUE_TYPE_INT}}
	for range 2 {
		require.NoError(t, ensureSearchAttributes(t.Context(), o, "prod"))
	}
	require.Equal(t, 1, o.timesAdded)
	require.Len(t, o.has, len(workflows.SearchAttributes)+1)

	delete(o.has, "PawlState")
	o.add = serviceerror.NewAlreadyExists("another worker was faster")
	require.NoError(t, ensureSearchAttributes(t.Context(), o, "prod"))
}

func TestWorkerWithoutSearchAttributesIsRefused(t *testing.T) {
	denied := serviceerror.NewPermissionDenied("Request unauthorized.", "")
	with := func(change func(map[string]enumspb.IndexedValueType)) map[string]enumspb.IndexedValueType {
		all := workflows.IndexedValueTypes()
		change(all)
		return all
	}
	for name, tc := range map[string]struct {
		operator operator
		want     string
	}{
		"may not add": {
			operator{add: denied, has: with(func(m map[string]enumspb.IndexedValueType) { delete(m, "PawlNodes"); delete(m, "PawlHeldAt") })},
			"search attributes of namespace prod: it lacks PawlHeldAt, PawlNodes, and they cannot be added (Request unauthorized.); " +
				"add them with: temporal operator search-attribute create --namespace prod --name PawlHeldAt --type Keyword --name PawlNodes --type Int",
		},
		"another type": {
			operator{has: with(func(m map[string]enumspb.IndexedValueType) { m["PawlNodes"] = enumspb.INDEXED_VALUE_TYPE_KEYWORD })},
			"search attributes of namespace prod: PawlNodes is of type Keyword, wanted Int; remove it with: " +
				"temporal operator search-attribute remove --namespace prod --name PawlNodes",
		},
		"may not list": {
			operator{list: denied},
			"search attributes of namespace prod: they cannot be listed (Request unauthorized.); let this worker list them",
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.EqualError(t, ensureSearchAttributes(t.Context(), &tc.operator, "prod"), tc.want)
		})
	}
}
