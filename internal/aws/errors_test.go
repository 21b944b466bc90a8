package aws

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
)

func TestRefusalsAreClassified(t *testing.T) {
	for code, kind := range map[string]fault.Kind{
		"UnauthorizedOperation": fault.Unauthorized, "ExpiredToken": fault.Unauthorized,
		"RequestLimitExceeded": fault.Conflict, "ScalingActivityInProgress": fault.Conflict, "ResourceContention": fault.Conflict,
		"InsufficientInstanceCapacity": fault.PreflightFailed, "VcpuLimitExceeded": fault.PreflightFailed, "InvalidAMIID.NotFound": fault.PreflightFailed,
		"SomethingElse": fault.Unexpected,
	} {
		err := changed("do", "it", &smithy.OperationError{Err: &smithy.GenericAPIError{Code: code, Message: "You may not. Encoded authorization failure message: abc"}})
		require.Equal(t, kind, fault.KindOf(err), code)
		require.ErrorContains(t, err, "do it: AWS says "+code+": You may not.")
		require.NotContains(t, err.Error(), "abc")
	}
	down := &smithy.GenericAPIError{Code: "InternalFailure", Fault: smithy.FaultServer}
	require.Equal(t, fault.OutcomeUnknown, fault.KindOf(changed("do", "it", down)))
	require.Equal(t, fault.Unreachable, fault.KindOf(looked("do", "it", down)))
	require.Equal(t, fault.Unreachable, fault.KindOf(looked("do", "it", errors.New("dial tcp"))))
	require.NoError(t, looked("do", "it", nil))
}

// TestOpening goes by the environment, as a worker does.
func TestOpening(t *testing.T) {
	a, _ := startGroup(t, 1)
	for key, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(key, value)
	}
	config := GroupConfig{Name: "workers", Region: "eu-north-1", Endpoint: a.URL}
	g, err := NewGroup(t.Context(), config)
	require.NoError(t, err)
	require.Empty(t, g.Check(t.Context(), hop, nodes(a)))
	_, err = NewInstances(t.Context(), InstancesConfig{LaunchTemplate: "workers", Region: "eu-north-1", Endpoint: a.URL})
	require.NoError(t, err)

	_, err = NewGroup(t.Context(), GroupConfig{Name: "workers"})
	require.Equal(t, fault.InvalidInput, fault.KindOf(err))
	require.ErrorContains(t, err, "no region is named")
	_, err = NewGroup(t.Context(), GroupConfig{})
	require.Equal(t, fault.InvalidInput, fault.KindOf(err))

	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	g, err = NewGroup(t.Context(), config)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = g.look(ctx)
	require.Equal(t, fault.Unauthorized, fault.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "give the worker credentials for AWS")
}
