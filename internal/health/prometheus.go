package health

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Prometheus is where PromQL is answered: Prometheus itself, or what speaks its HTTP API.
type Prometheus struct {
	Address         string // http://prometheus.monitoring:9090
	BearerTokenFile string // file with a token; "" for none
}

// look asks for the value of an expression now.
func (p Prometheus) look(ctx context.Context, expression string) (bool, string) {
	// No redirect is followed: the token is for nobody else.
	client, err := api.NewClient(api.Config{Address: p.Address, Client: &http.Client{
		Transport:     bearer{p.BearerTokenFile},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return false, unknown(err)
	}
	value, _, _, err := promv1.NewAPI(client).Query(ctx, expression, time.Time{})
	if err != nil {
		return false, unknown(cause(err))
	}
	return judge(expression, value)
}

// bearer adds the token, which is read each time because tokens are renewed.
type bearer struct{ file string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.file != "" {
		token, err := os.ReadFile(b.file)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return api.DefaultRoundTripper.RoundTrip(r)
}

// cause leaves out the URL, which has the whole expression in it.
func cause(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// judge decides whether an expression is true.
//
// A comparison in PromQL is a filter: it keeps the series of which it is true, with the value that they have, which may
// be 0. So where an expression compares, it is true when any series is left, as for an alerting rule. Where it compares
// with "bool", or not at all, it is true when no value is 0. No series is no data, and not true.
// Source: https://prometheus.io/docs/prometheus/latest/querying/operators/#comparison-binary-operators
func judge(expression string, value model.Value) (bool, string) {
	switch v := value.(type) {
	case *model.Scalar:
		return isTrue(v.Value), v.Value.String()
	case model.Vector:
		if len(v) == 0 {
			if filters(expression) {
				return false, "no series: the comparison is not true, or there is no data"
			}
			return false, "no data"
		}
		if filters(expression) {
			return true, values(v)
		}
		for _, sample := range v {
			if !isTrue(sample.Value) {
				return false, values(v)
			}
		}
		return true, values(v)
	}
	return false, fmt.Sprintf("unknown: it gives a %s, wanted a vector or a scalar", value.Type())
}

func isTrue(v model.SampleValue) bool { return v != 0 && !math.IsNaN(float64(v)) }

// values are the first values of a vector.
func values(v model.Vector) string {
	const most = 3
	var texts []string
	for i, sample := range v {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more series", len(v)-i))
			break
		}
		texts = append(texts, sample.Value.String())
	}
	return strings.Join(texts, ", ")
}

var (
	// notOperators are parts of an expression in which < > = mean something else: strings, label matchers, comments.
	notOperators = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`|#[^\n]*")
	matchers     = regexp.MustCompile(`\{[^{}]*\}`)
	comparison   = regexp.MustCompile(`[=!]=|[<>]=?`)
	withBool     = regexp.MustCompile(`(?:[=!]=|[<>]=?)\s*(?i:bool)\b`)
)

// filters reports whether the expression compares, so that what its series are matters and not what their values are.
func filters(expression string) bool {
	bare := matchers.ReplaceAllString(notOperators.ReplaceAllString(expression, ""), "")
	return comparison.MatchString(bare) && !withBool.MatchString(bare)
}

// CheckPromQL says what is wrong with an expression, as far as that can be told without a Prometheus: whether it is empty
// and its brackets and quotes are closed. A plan asks the Prometheus.
func CheckPromQL(expression string) error {
	bare := notOperators.ReplaceAllString(expression, "0")
	if strings.TrimSpace(bare) == "" {
		return errors.New("it is empty")
	}
	if i := strings.IndexAny(bare, "\"'`"); i >= 0 {
		return fmt.Errorf("a quote %c is not closed", bare[i])
	}
	closes := map[rune]rune{')': '(', ']': '[', '}': '{'}
	var open []rune
	for _, r := range bare {
		switch r {
		case '(', '[', '{':
			open = append(open, r)
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != closes[r] {
				return fmt.Errorf("%c closes nothing", r)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%c is not closed", open[len(open)-1])
	}
	return nil
}
