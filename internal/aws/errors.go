package aws

import (
	"errors"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/pawl-dev/pawl/internal/fault"
)

// Refusal is what some of AWS's error codes mean.
type Refusal struct {
	Kind   fault.Kind
	Remedy string
	Codes  []string
}

// refusals are AWS's error codes, with what they mean here. A code that is not among them is Unexpected, or when nothing
// came back at all Unreachable or OutcomeUnknown.
var refusals = []Refusal{
	{fault.Unauthorized, "docs/aws.md lists the permissions", []string{
		"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthFailure", "ExpiredToken", "ExpiredTokenException",
		"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException", "OptInRequired",
	}},
	{fault.Conflict, "", []string{
		"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "RequestThrottled",
		"EC2ThrottledException", "TooManyRequestsException", "SlowDown",
		"ScalingActivityInProgress", "ResourceContention", "IdempotentCallInProgress", "ResourceInUse",
		"IncorrectInstanceState", "IncorrectState",
	}},
	{fault.PreflightFailed, "AWS has no such capacity in this zone now: try again later, or allow more instance types", []string{
		"InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity", "InsufficientCapacity",
		"InsufficientCapacityOnHost", "SpotMaxPriceTooLow", "UnfulfillableCapacity", "ReservationCapacityExceeded",
	}},
	{fault.PreflightFailed, "have the account's quota raised, or free some of it", []string{
		"VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "SpotInstanceCountExceeded", "VolumeLimitExceeded", "LimitExceeded",
	}},
	{fault.PreflightFailed, "free addresses in the subnet, or use another", []string{"InsufficientFreeAddressesInSubnet", "InsufficientAddressCapacity"}},
	{fault.PreflightFailed, "put the launch template or the pool's definition right", []string{
		"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed", "InvalidLaunchTemplateId.NotFound",
		"InvalidLaunchTemplateName.NotFoundException", "InvalidLaunchTemplateId.VersionNotFound", "InvalidLaunchTemplateId.Malformed",
		"InvalidSubnetID.NotFound", "InvalidGroup.NotFound", "InvalidKeyPair.NotFound", "InvalidParameterCombination",
		"InvalidParameterValue", "Unsupported", "VPCIdNotSpecified", "MissingParameter", "InvalidUserData.Malformed",
		"TargetGroupNotFound",
	}},
}

// Code is the error code that AWS gave, or "".
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// said is what AWS said beside the code, without what only AWS can read.
func said(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	text, _, _ := strings.Cut(api.ErrorMessage(), "Encoded authorization failure message:")
	return strings.TrimSpace(text)
}

// looked classifies the error of a request that changes nothing.
func looked(op, target string, err error) error {
	return Classify(op, target, err, fault.Unreachable, refusals)
}

// changed classifies the error of a request that may have been carried out though no answer came.
func changed(op, target string, err error) error {
	return Classify(op, target, err, fault.OutcomeUnknown, refusals)
}

// code is the error code that AWS gave, or "".
func code(err error) string { return Code(err) }

// Classify makes an error of AWS a fault. silent is its kind where AWS itself failed, or nothing came back; known is what the
// codes mean.
func Classify(op, target string, err error, silent fault.Kind, known []Refusal) error {
	if err == nil {
		return nil
	}
	f := &fault.Error{Kind: silent, Op: op, Target: target}
	c := Code(err)
	if c == "" {
		f.Err = plain(err)
		if strings.Contains(f.Err.Error(), "failed to refresh cached credentials") || strings.Contains(f.Err.Error(), "get identity") {
			f.Kind, f.Remedy = fault.Unauthorized, "give the worker credentials for AWS, see docs/aws.md"
		}
		return f
	}
	f.Kind, f.Remedy = refusal(c, known)
	if f.Kind == fault.Unexpected && server(err) {
		f.Kind = silent
	}
	f.Fact = "AWS says " + c
	if text := said(err); text != "" {
		f.Fact += ": " + text
	}
	return f
}

// refusal is what an error code means.
func refusal(code string, known []Refusal) (fault.Kind, string) {
	for _, r := range known {
		if slices.Contains(r.Codes, code) {
			return r.Kind, r.Remedy
		}
	}
	return fault.Unexpected, ""
}

// server reports whether AWS itself failed: then nobody knows what was done.
func server(err error) bool {
	var api smithy.APIError
	var response interface{ HTTPStatusCode() int }
	return errors.As(err, &api) && api.ErrorFault() == smithy.FaultServer ||
		errors.As(err, &response) && response.HTTPStatusCode() >= 500
}

// plain is the innermost cause that says something: the SDK wraps it in a dozen words for each layer.
func plain(err error) error {
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		return operation.Err
	}
	return err
}
