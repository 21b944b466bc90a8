package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pawl-dev/pawl/internal/codec"
	"github.com/pawl-dev/pawl/starter/internal/exit"
)

// codecCommand is the group of commands about the encryption of what Temporal holds.
func codecCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "codec",
		Short: "Encrypt what Temporal holds",
		Long: `Encrypt what Temporal holds of upgrades: with ` + codec.Environment + ` set to a file of keys, pawl and pawl-worker encrypt plans,
inputs, results and errors before they leave the process.`,
		Example: "  pawl codec new-key > keys && chmod 600 keys\n  pawl codec serve --encryption-keys keys --origin http://127.0.0.1:8233",
	}, codecServeCommand(), codecNewKeyCommand())
}

func codecNewKeyCommand() *cobra.Command {
	var id, kms string
	c := &cobra.Command{
		Use:   "new-key",
		Short: "Print a new key, as a line for the file of keys",
		Long: `Print a new key, as a line for the file of keys. Of the file's keys the first encrypts and all decrypt.

With --aws-kms the key is made by AWS KMS under one of its own keys, and only KMS can unwrap the line.`,
		Example: "  (umask 077; pawl codec new-key > /etc/pawl/keys)\n  pawl codec new-key --aws-kms alias/pawl >> /etc/pawl/keys",
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id == "" {
				id = codec.NewKeyID(time.Now())
			}
			line, err := codec.NewKey(id)
			if kms != "" {
				line, err = codec.KMS{}.NewKey(cmd.Context(), id, kms)
			}
			if err != nil {
				return exit.Errorf(exit.BadInput, "codec new-key: %v", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), line)
			return nil
		},
	}
	c.Flags().StringVar(&id, "id", "", "name of the key (default the day and some letters)")
	c.Flags().StringVar(&kms, "aws-kms", "", "id, ARN or alias of the key of AWS KMS that wraps it")
	return c
}

// codecServer is what a person wants of a codec server.
type codecServer struct {
	keys, listen, tokenFile string
	origins                 []string
	proxied                 bool
}

func codecServeCommand() *cobra.Command {
	var s codecServer
	c := &cobra.Command{
		Use:   "serve",
		Short: "Decrypt for Temporal's UI and CLI",
		Long: `Serve a codec server, which Temporal's UI and CLI ask to decrypt what they show. Whoever gets an answer from it can
read everything: it listens on this machine only, and elsewhere wants a token or a proxy before it that knows who asks.`,
		Example: `  pawl codec serve --encryption-keys /etc/pawl/keys --origin http://127.0.0.1:8233
  temporal workflow show -w cluster-upgrade/lab --codec-endpoint http://127.0.0.1:8081`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd.Context(), func(address string) {
				fmt.Fprintf(cmd.OutOrStdout(), "Codec server at http://%s, for %s. Ctrl-C ends it.\n", address, strings.Join(append([]string{"the CLI"}, s.origins...), ", "))
			})
		},
	}
	c.Flags().StringVar(&s.keys, "encryption-keys", os.Getenv(codec.Environment), "file of keys; default also from "+codec.Environment)
	c.Flags().StringVar(&s.listen, "listen", "127.0.0.1:8081", "address to listen on")
	c.Flags().StringSliceVar(&s.origins, "origin", nil, "where Temporal's UI is, such as https://temporal.example.org; browsers may ask from there")
	c.Flags().StringVar(&s.tokenFile, "token-file", "", "file with the token that must be said (Authorization: Bearer TOKEN)")
	c.Flags().BoolVar(&s.proxied, "behind-proxy", false, "a proxy before it decides who may ask: listen elsewhere without a token")
	return c
}

// run serves until ctx ends. ready is told the address.
func (s codecServer) run(ctx context.Context, ready func(address string)) error {
	access, err := s.access()
	if err != nil {
		return exit.Errorf(exit.BadInput, "codec serve: %v", err)
	}
	encryption, err := codec.Load(ctx, s.keys, codec.KMS{})
	if err != nil {
		return exit.Errorf(exit.BadInput, "%v", err)
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return exit.Errorf(exit.Unexpected, "codec serve: %v", err)
	}
	server := &http.Server{Handler: encryption.Handler(access), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	ready(l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return exit.Errorf(exit.Unexpected, "codec serve: %v", err)
	}
	return nil
}

// access says who may ask, or what is wrong with what was asked for.
func (s codecServer) access() (a codec.Access, err error) {
	if s.keys == "" {
		return a, fmt.Errorf("there are no keys; name their file with --encryption-keys or %s", codec.Environment)
	}
	for _, origin := range s.origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host {
			return a, fmt.Errorf("--origin is %q, wanted scheme, host and port alone, such as https://temporal.example.org", origin)
		}
	}
	a.Origins = s.origins
	if s.tokenFile != "" {
		text, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return a, fmt.Errorf("read the token: %w", err)
		}
		if a.Token = strings.TrimSpace(string(text)); a.Token == "" {
			return a, fmt.Errorf("read the token: %s is empty", s.tokenFile)
		}
		return a, nil
	}
	host, _, err := net.SplitHostPort(s.listen)
	if err != nil {
		return a, fmt.Errorf("--listen is %q, wanted host:port", s.listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !s.proxied {
		return a, fmt.Errorf("on %s others could read everything; give it a token with --token-file, or say --behind-proxy where a proxy knows who asks", s.listen)
	}
	return a, nil
}
