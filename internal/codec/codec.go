package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// What the metadata of an encrypted payload says. The words are those of Temporal's samples for Go, so that UIs show them.
// Source: https://github.com/temporalio/samples-go/blob/main/encryption/data_converter.go
const (
	metadataKeyID = "encryption-key-id"
	encoding      = "binary/encrypted"
)

// Codec is a converter.PayloadCodec: the first key encrypts, all of them decrypt.
type Codec struct {
	first string
	keys  map[string]cipher.AEAD
}

var _ converter.PayloadCodec = (*Codec)(nil)

// New makes a codec of keys. There is at least one, and each has 32 bytes.
func New(keys []Key) (*Codec, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key")
	}
	c := &Codec{first: keys[0].ID, keys: map[string]cipher.AEAD{}}
	for _, k := range keys {
		if len(k.secret) != keySize {
			return nil, fmt.Errorf("key %s has %d bytes, wanted %d", k.ID, len(k.secret), keySize)
		}
		block, err := aes.NewCipher(k.secret)
		if err != nil {
			return nil, err
		}
		if c.keys[k.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// KeyID names the key that encrypts.
func (c *Codec) KeyID() string { return c.first }

// Encode implements converter.PayloadCodec.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	sealed := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return payloads, err
		}
		sealed[i] = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding), metadataKeyID: []byte(c.first)},
			Data:     c.keys[c.first].Seal(nil, nil, plain, additional(c.first)),
		}
	}
	return sealed, nil
}

// Decode implements converter.PayloadCodec.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	plain := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encoding {
			plain[i] = p
			continue
		}
		id := string(p.GetMetadata()[metadataKeyID])
		key, ok := c.keys[id]
		if !ok {
			return payloads, fmt.Errorf("decrypt a payload: it needs key %q, which is not among those that this process has", id)
		}
		text, err := key.Open(nil, nil, p.GetData(), additional(id))
		if err != nil {
			return payloads, fmt.Errorf("decrypt a payload with key %q: it was changed, or another key has that id", id)
		}
		plain[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(text, plain[i]); err != nil {
			return payloads, fmt.Errorf("decrypt a payload with key %q: what was encrypted is no payload", id)
		}
	}
	return plain, nil
}

// additional binds a payload to what its metadata says of it.
func additional(id string) []byte { return []byte(encoding + " " + id) }

// EncodedFailure is what stands in place of an error's own words, which are encrypted.
// Source: EncodeCommonFailureAttributes of go.temporal.io/sdk/converter
const EncodedFailure = "Encoded failure"

// Apply lets a client encrypt: what workflows and activities take and answer, and what their errors say.
func (c *Codec) Apply(o *client.Options) {
	o.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)
	o.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: o.DataConverter, EncodeCommonAttributes: true,
	})
}

// ApplyToReader is Apply for a client that also looks into descriptions and histories: what it gets there is decrypted too.
func (c *Codec) ApplyToReader(o *client.Options) error {
	payloads, err := proxy.NewPayloadVisitorInterceptor(proxy.PayloadVisitorInterceptorOptions{Inbound: &proxy.VisitPayloadsOptions{
		SkipSearchAttributes: true,
		Visitor: func(_ *proxy.VisitPayloadsContext, p []*commonpb.Payload) ([]*commonpb.Payload, error) {
			return c.Decode(p)
		},
	}})
	if err != nil {
		return err
	}
	failures, err := proxy.NewFailureVisitorInterceptor(proxy.FailureVisitorInterceptorOptions{Inbound: &proxy.VisitFailuresOptions{
		Visitor: func(_ *proxy.VisitFailuresContext, f *failurepb.Failure) error {
			converter.DecodeCommonFailureAttributes(converter.GetDefaultDataConverter(), f)
			return nil
		},
	}})
	if err != nil {
		return err
	}
	c.Apply(o)
	o.ConnectionOptions.DialOptions = append(o.ConnectionOptions.DialOptions, grpc.WithChainUnaryInterceptor(failures, payloads))
	return nil
}
