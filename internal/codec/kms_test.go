package codec

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/fault"
)

// TestKMS runs over moto: KMS makes a key that only it can unwrap.
func TestKMS(t *testing.T) {
	moto, err := exec.LookPath("moto_server")
	if err != nil {
		const text = "there is no moto_server; pip install 'moto[server]' in a virtual environment"
		if os.Getenv("PAWL_TEST_REQUIRE_ALL") == "1" {
			t.Fatal(text)
		}
		t.Skip("SKIPPED, NOT TESTED: " + text)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	require.NoError(t, l.Close())
	server := exec.Command(moto, "-H", "127.0.0.1", "-p", port)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "http://" + address, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	ctx := t.Context()
	api, err := open(ctx)
	require.NoError(t, err)
	made, err := api.CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)

	printed, err := KMS{}.NewKey(ctx, "one", aws.ToString(made.KeyMetadata.KeyId))
	require.NoError(t, err)
	require.Regexp(t, `^one aws-kms:[A-Za-z0-9+/=]{60,}$`, printed)
	file := writeKeys(t, printed)
	first, err := Load(ctx, file, KMS{})
	require.NoError(t, err)
	sealed := seal(t, first)
	second, err := Load(ctx, file, KMS{})
	require.NoError(t, err)
	text, err := open1(second, sealed)
	require.NoError(t, err)
	require.Equal(t, secret, text)

	foreign, err := api.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{
		KeyId: made.KeyMetadata.KeyId, KeySpec: "AES_256", EncryptionContext: map[string]string{"purpose": "another"}})
	require.NoError(t, err)
	wrapped, err := line("two", formKMS, foreign.CiphertextBlob)
	require.NoError(t, err)
	_, err = Load(ctx, writeKeys(t, wrapped), KMS{})
	require.ErrorContains(t, err, "unwrap encryption key two: AWS refused kms:Decrypt: ", "what was wrapped for something else is no key")
	require.Equal(t, fault.Unauthorized, fault.KindOf(err))
	_, err = KMS{}.NewKey(ctx, "three", "alias/none")
	require.ErrorContains(t, err, "AWS refused kms:GenerateDataKeyWithoutPlaintext: NotFoundException")

	t.Setenv("AWS_REGION", "")
	_, err = Load(ctx, file, KMS{})
	require.ErrorContains(t, err, "AWS's configuration has no region; set AWS_REGION")
}
