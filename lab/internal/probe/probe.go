// Package probe asks URLs again and again and keeps every answer. Rule: one
// URL that hangs does not slow the others down.
package probe

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"text/tabwriter"
	"time"
)

// timeout is how long one answer may take.
const timeout = time.Second

// Result is one answer, or none.
type Result struct {
	Time  time.Time `json:"time"` // when it was asked
	URL   string    `json:"url"`
	OK    bool      `json:"ok"`
	Code  int       `json:"code,omitempty"`
	Error string    `json:"error,omitempty"`
	Took  int64     `json:"tookMs"`
}

// Run probes the URLs at every interval until the context ends. Each result is
// one line of JSON on out.
func Run(ctx context.Context, out io.Writer, interval time.Duration, urls []string) ([]Summary, error) {
	for _, u := range urls {
		if p, err := url.Parse(u); err != nil || p.Host == "" || (p.Scheme != "http" && p.Scheme != "https") {
			return nil, fmt.Errorf("probe %q: not an http or https URL", u)
		}
	}
	client := &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DisableKeepAlives: true, // each probe is a new client
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var (
		mu        sync.Mutex
		wg        sync.WaitGroup
		writeErr  error
		enc       = json.NewEncoder(out)
		summaries = make([]Summary, len(urls))
	)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for i, u := range urls {
		summaries[i].URL = u
		wg.Go(func() {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for {
				r := once(ctx, client, u)
				if ctx.Err() != nil {
					return // the answer was cut off by the end, not by the server
				}
				mu.Lock()
				summaries[i].add(r)
				if err := enc.Encode(r); err != nil && writeErr == nil {
					writeErr = err
					stop()
				}
				mu.Unlock()
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	return summaries, writeErr
}

func once(ctx context.Context, client *http.Client, u string) Result {
	r := Result{Time: time.Now().UTC(), URL: u}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err == nil {
		var resp *http.Response
		if resp, err = client.Do(req); err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			r.Code = resp.StatusCode
		}
	}
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		r.Error = err.Error()
	}
	r.OK = err == nil && r.Code >= 200 && r.Code < 300
	r.Took = time.Since(r.Time).Milliseconds()
	return r
}

// Summary is what all results of one URL say.
type Summary struct {
	URL           string        `json:"url"`
	OK            int           `json:"ok"`
	Failed        int           `json:"failed"`
	FirstFailure  time.Time     `json:"firstFailure,omitzero"`
	LastFailure   time.Time     `json:"lastFailure,omitzero"`
	LongestOutage time.Duration `json:"longestOutageNs"` // from a failure to the next success

	since time.Time // begin of the outage that lasts
}

func (s *Summary) add(r Result) {
	if r.OK {
		s.OK++
		s.outage(r.Time)
		s.since = time.Time{}
		return
	}
	s.Failed++
	if s.FirstFailure.IsZero() {
		s.FirstFailure = r.Time
	}
	s.LastFailure = r.Time
	if s.since.IsZero() {
		s.since = r.Time
	}
	// An outage that lasts until the end counts up to its last failed answer.
	s.outage(r.Time.Add(time.Duration(r.Took) * time.Millisecond))
}

func (s *Summary) outage(until time.Time) {
	if !s.since.IsZero() {
		s.LongestOutage = max(s.LongestOutage, until.Sub(s.since))
	}
}

// Print writes the totals as a table.
func Print(w io.Writer, summaries []Summary) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "URL\tOK\tFAILED\tFIRST FAILURE\tLAST FAILURE\tLONGEST OUTAGE")
	for _, s := range summaries {
		first, last, longest := "-", "-", "-"
		if s.Failed > 0 {
			first, last = s.FirstFailure.Local().Format("15:04:05.000"), s.LastFailure.Local().Format("15:04:05.000")
			longest = s.LongestOutage.Round(time.Millisecond).String()
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\n", s.URL, s.OK, s.Failed, first, last, longest)
	}
	return t.Flush()
}
