package eks

import (
	"cmp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/pawl-dev/pawl/internal/aws"
	"github.com/pawl-dev/pawl/internal/fault"
)

// The codes that EKS refuses requests with, as far as something depends on them.
const (
	inUse    = "ResourceInUseException"
	notFound = "ResourceNotFoundException"
)

// refusals are the error codes of EKS and of the parts of EC2 that are used, with what they mean here.
var refusals = []aws.Refusal{
	{Kind: fault.Unauthorized, Remedy: "docs/eks.md lists the permissions", Codes: []string{
		"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "AuthFailure", "ExpiredToken", "ExpiredTokenException",
		"InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidSignatureException", "UnrecognizedClientException", "OptInRequired",
	}},
	{Kind: fault.Conflict, Codes: []string{
		inUse, "ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "ResourcePropagationDelayException",
	}},
	{Kind: fault.NotFound, Remedy: "put name, region or profile right in the cluster's definition", Codes: []string{notFound, "NotFoundException"}},
	{Kind: fault.PreflightFailed, Remedy: "see the cluster's insights; start with --waive managed-insight to go on in spite of them", Codes: []string{"InvalidStateException"}},
	{Kind: fault.PreflightFailed, Remedy: "have the account's quota raised, or free some of it", Codes: []string{"ResourceLimitExceededException"}},
	{Kind: fault.PreflightFailed, Remedy: "put it right, then retry", Codes: []string{
		"InvalidParameterException", "InvalidRequestException", "BadRequestException", "UnsupportedAvailabilityZoneException",
		"InvalidSubnetID.NotFound", "InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateId.VersionNotFound", "InvalidLaunchTemplateName.NotFoundException",
	}},
}

// looked classifies the error of a request that changes nothing.
func looked(op, target string, err error) error {
	return aws.Classify(op, target, err, fault.Unreachable, refusals)
}

// changed classifies the error of a request that may have been carried out though no answer came.
func changed(op, target string, err error) error {
	return aws.Classify(op, target, err, fault.OutcomeUnknown, refusals)
}

// ends are the reasons that EKS gives for an update that failed, with what a person does about them. Those that are to be put
// right outside of the cluster are PreflightFailed, the others VerificationFailed.
var ends = map[types.ErrorCode]struct {
	kind   fault.Kind
	remedy string
}{
	types.ErrorCodeSubnetNotFound:               {fault.PreflightFailed, "give the cluster subnets that exist"},
	types.ErrorCodeSecurityGroupNotFound:        {fault.PreflightFailed, "give the cluster security groups that exist"},
	types.ErrorCodeVpcIdNotFound:                {fault.PreflightFailed, "the cluster's VPC is gone: have it restored"},
	types.ErrorCodeEniLimitReached:              {fault.PreflightFailed, "have the quota of network interfaces raised, or free some"},
	types.ErrorCodeIpNotAvailable:               {fault.PreflightFailed, "free addresses in the subnets, or add another"},
	types.ErrorCodeInsufficientFreeAddresses:    {fault.PreflightFailed, "free addresses in the subnets, or add another"},
	types.ErrorCodeAccessDenied:                 {fault.PreflightFailed, "give the role of the cluster, node group or add-on its permissions"},
	types.ErrorCodeOperationNotPermitted:        {fault.PreflightFailed, "give the cluster's service role its permissions"},
	types.ErrorCodeNodeCreationFailure:          {fault.VerificationFailed, "see why new nodes do not join: role, capacity, user data, network; the old ones are still there"},
	types.ErrorCodePodEvictionFailure:           {fault.VerificationFailed, "see to the pods that did not leave, then retry; or pawl skip-drain, which asks once by force: those that do not go end with their nodes"},
	types.ErrorCodeClusterUnreachable:           {fault.VerificationFailed, "see to the API server's network access and webhooks"},
	types.ErrorCodeInsufficientNumberOfReplicas: {fault.VerificationFailed, "see why the add-on's pods do not start"},
	types.ErrorCodeConfigurationConflict:        {fault.VerificationFailed, "somebody else manages fields of the add-on: see the message, and settle who does"},
	types.ErrorCodeAdmissionRequestDenied:       {fault.VerificationFailed, "a webhook or policy refuses the add-on's objects: allow them"},
	types.ErrorCodeUnsupportedAddonModification: {fault.VerificationFailed, "the add-on cannot go to that version or configuration: see the message"},
	types.ErrorCodeK8sResourceNotFound:          {fault.VerificationFailed, "objects of the add-on are gone: have it made anew"},
	types.ErrorCodeUnknown:                      {fault.VerificationFailed, "ask AWS, naming the update"},
}

// failed is the fault of an update that did not succeed.
func failed(op, target string, u types.Update) error {
	f := &fault.Error{Kind: fault.VerificationFailed, Op: op, Target: target, Fact: "update " + str(u.Id) + " is " + string(u.Status), Remedy: "ask AWS, naming the update"}
	for i, e := range u.Errors {
		end, known := ends[e.ErrorCode]
		if known && i == 0 {
			f.Kind, f.Remedy = end.kind, end.remedy
		}
		if i < issuesKept {
			f.Fact += ", " + strings.TrimSuffix(string(e.ErrorCode)+": "+clip(str(e.ErrorMessage)), ": ")
			f.Fact += about(e.ResourceIds)
		}
	}
	if u.Status == types.UpdateStatusCancelled {
		f.Kind, f.Remedy = fault.PreflightFailed, "somebody cancelled it: retry when they agree"
		if u.Cancellation != nil {
			f.Fact += strings.TrimSuffix(": "+clip(str(u.Cancellation.Reason)), ": ")
		}
	}
	return f
}

// about names the first few of what something is about.
func about(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	more := ""
	if len(ids) > issuesKept {
		ids, more = ids[:issuesKept], ", ..."
	}
	return " (" + strings.Join(ids, ", ") + more + ")"
}

// Bounds of what is kept of what AWS says: it stands in the workflow's history.
const (
	textKept     = 300 // bytes
	issuesKept   = 5
	insightsKept = 50
)

// clip is text on one line, and not too long.
func clip(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= textKept {
		return text
	}
	return strings.ToValidUTF8(text[:textKept], "") + "..."
}

// str is the text that p points to, or "".
func str(p *string) string { return val(p) }

// val is what p points to, or nothing.
func val[T any](p *T) T {
	var zero T
	return *cmp.Or(p, &zero)
}
