package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pawl-dev/pawl/lab/internal/home"
	"github.com/pawl-dev/pawl/lab/internal/lab"
)

func TestProviderStatus(t *testing.T) {
	for err, want := range map[error]int{
		fmt.Errorf("add w3: %w", lab.ErrGone):         69,
		fmt.Errorf("lock x: %w", home.ErrLocked):      75,
		lab.ErrNoLab:                                  78,
		fmt.Errorf("add: %w", lab.Refusal("no such")): 78,
		errors.New("kubeadm join: failed"):            0, // as any command's
	} {
		got := 0
		var s status
		if errors.As(provided(err), &s) {
			got = s.code
		}
		if got != want || provided(err).Error() != err.Error() {
			t.Errorf("%v: status %d, want %d", err, got, want)
		}
	}
	if err := provided(nil); err != nil {
		t.Error(err)
	}
}

func TestProviderRefusesWhatItDoesNotKnow(t *testing.T) {
	for question, want := range map[string]string{
		`{"action":"begin"}`:                  "",
		`{"action":"resize"}`:                 `action "resize"`,
		`{"action":"add","version":"newest"}`: `version "newest"`,
		`aaaaaa.bbbbbbbbbbbbbbbb`:             "question: not JSON",
	} {
		cmd := newRoot()
		cmd.SetArgs([]string{"provider"})
		cmd.SetIn(strings.NewReader(question))
		err := cmd.Execute()
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", question, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "bbbb") {
			t.Errorf("%s: got %v, want %s", question, err, want)
		}
	}
}

func TestJoinIsReadWithoutBeingShown(t *testing.T) {
	j, err := readJoin("-", strings.NewReader(`{"endpoint":"e:1","token":"t","caCertHash":"h"}`))
	if err != nil || *j != (lab.Join{Endpoint: "e:1", Token: "t", CACertHash: "h"}) {
		t.Errorf("got %v, %v", j, err)
	}
	if _, err := readJoin("-", strings.NewReader("s3cr3t")); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}
