package kube

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/pawl-dev/pawl/internal/fault"
)

// metricsOf reads all samples of one metric of a node's API server. /metrics is of one process, so every API server is
// asked on its own address.
func (c *Cluster) metricsOf(ctx context.Context, node, endpoint, name string, each func(sample)) error {
	const op = "read the metrics of kube-apiserver of"
	response, err := c.getFrom(ctx, op, node, endpoint, "/metrics")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return fault.New(fault.Unauthorized, op, node, response.Status, "allow the kubeconfig's user to get /metrics")
	default:
		return fault.New(fault.Unreachable, op, node, response.Status, "allow the kubeconfig's user to get /metrics")
	}
	return fault.Wrap(fault.Unreachable, op, node, scanSamples(response.Body, name, each), "")
}

// sample is one line of a metric.
type sample struct {
	labels map[string]string
	value  float64
}

// scanSamples reads the samples of one metric that has labels. The metrics of a large cluster are megabytes, so they are
// scanned for the lines that matter instead of being parsed whole. What does not read like a sample is passed over.
func scanSamples(metrics io.Reader, name string, each func(sample)) error {
	lines := bufio.NewScanner(metrics)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if rest, is := strings.CutPrefix(lines.Text(), name+"{"); is {
			if s, ok := parseSample(rest); ok {
				each(s)
			}
		}
	}
	return lines.Err()
}

// parseSample reads what follows the '{' of a sample: labels, '}', the value, and perhaps a time.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
func parseSample(text string) (sample, bool) {
	s := sample{labels: map[string]string{}}
	for !strings.HasPrefix(text, "}") {
		name, rest, ok := strings.Cut(text, `="`)
		if !ok {
			return sample{}, false
		}
		value, rest, ok := cutQuoted(rest)
		if !ok {
			return sample{}, false
		}
		s.labels[name] = value
		text = strings.TrimPrefix(rest, ",")
	}
	fields := strings.Fields(text[1:])
	if len(fields) == 0 {
		return sample{}, false
	}
	var err error
	s.value, err = strconv.ParseFloat(fields[0], 64)
	return s, err == nil
}

// cutQuoted reads a label's value up to its closing quote.
func cutQuoted(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:], true
		case text[i] == '\\' && i+1 < len(text):
			i++
			if text[i] == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}
