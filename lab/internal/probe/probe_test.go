package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestSummaryMeasuresOutages(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)).UTC() }
	var s Summary
	for _, r := range []Result{
		{Time: at(0), OK: true}, {Time: at(200)}, {Time: at(400), OK: true},
		{Time: at(600)}, {Time: at(800)}, {Time: at(1000)}, {Time: at(1200), OK: true},
		{Time: at(1400), Took: 100},
	} {
		s.add(r)
	}
	want := Summary{OK: 3, Failed: 5, FirstFailure: at(200), LastFailure: at(1400), LongestOutage: 600 * time.Millisecond, since: at(1400)}
	if s != want {
		t.Errorf("got %+v\nwant %+v", s, want)
	}
}

func TestRunKeepsEveryAnswer(t *testing.T) {
	var n atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 4:
			cancel()
		}
	}))
	defer server.Close()
	var out bytes.Buffer
	got, err := Run(ctx, &out, 5*time.Millisecond, []string{server.URL})
	if err != nil {
		t.Fatal(err)
	}
	lines, failed := 0, 0
	for sc := bufio.NewScanner(&out); sc.Scan(); lines++ {
		var r Result
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if !r.OK {
			failed++
		}
	}
	if lines < 3 || failed != 1 || got[0].Failed != 1 || got[0].OK != lines-1 {
		t.Errorf("%d lines, %d failed, summary %+v", lines, failed, got[0])
	}
}

func TestRunRefusesWhatIsNoURL(t *testing.T) {
	if _, err := Run(t.Context(), &bytes.Buffer{}, time.Second, []string{"10.77.0.1:80"}); err == nil {
		t.Error("no error")
	}
}
