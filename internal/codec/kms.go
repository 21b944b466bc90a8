package codec

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// KMS is AWS's key management service, found by AWS's standard configuration when it is first asked.
type KMS struct{}

// boundTo is the encryption context: what was wrapped for something else is not taken for a key.
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
var boundTo = map[string]string{"purpose": "pawl-payload-encryption"}

// Unwrap implements Unwrapper. The ciphertext itself says which of the account's keys decrypts it.
func (KMS) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	client, err := open(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: wrapped, EncryptionContext: boundTo})
	if err != nil {
		return nil, said("kms:Decrypt", err)
	}
	return out.Plaintext, nil
}

// NewKey has the KMS make a key under one of its own, and returns its line. The key itself stays there.
func (KMS) NewKey(ctx context.Context, id, under string) (string, error) {
	client, err := open(ctx)
	if err != nil {
		return "", err
	}
	out, err := client.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{
		KeyId: aws.String(under), KeySpec: types.DataKeySpecAes256, EncryptionContext: boundTo,
	})
	if err != nil {
		return "", said("kms:GenerateDataKeyWithoutPlaintext", err)
	}
	return line(id, formKMS, out.CiphertextBlob)
}

func open(ctx context.Context) (*kms.Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read AWS's configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("AWS's configuration has no region; set AWS_REGION")
	}
	return kms.NewFromConfig(cfg), nil
}

// said is what AWS answered, without ids of requests.
func said(operation string, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("AWS refused %s: %s: %s", operation, api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("%s: %w", operation, err)
}
