package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Pods that are to end, as those of Jobs, run the command of their containers. There are no images: `sh -c LINE` is a
// shell with its builtins and sleep; any other command, and none, does nothing and ends well.

const (
	restartPause = 10 * time.Second // before a container that failed is started again
	mostLogged   = 64 << 10         // bytes of a container's log
)

// ended is how a pod's containers ended.
type ended struct {
	codes    []int32
	restarts int32
	began    metav1.Time
}

// runToEnd runs the containers of a pod whose restart policy lets them end, reports that, and starts again those that
// failed where the policy says so. A deleted pod's are killed.
func (r *run) runToEnd(ctx context.Context, p *corev1.Pod) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go r.cancelWhenDeleted(ctx, p, cancel)
	if err := r.setStatus(ctx, p, r.runningStatus(p, r.podAddress(p), time.Now())); err != nil {
		return err
	}
	e := ended{began: metav1.Now()}
	for {
		e.codes = nil
		for _, c := range p.Spec.Containers {
			var log bytes.Buffer
			code := r.runContainer(ctx, c, &log)
			r.keepLog(p, c.Name, log.Bytes())
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.codes = append(e.codes, code)
		}
		failed := slices.ContainsFunc(e.codes, func(code int32) bool { return code != 0 })
		if !failed || p.Spec.RestartPolicy == corev1.RestartPolicyNever {
			return r.setStatus(ctx, p, e.status(p))
		}
		e.restarts++
		again := r.runningStatus(p, r.podAddress(p), time.Now())
		for i := range again.ContainerStatuses {
			again.ContainerStatuses[i].RestartCount = e.restarts
		}
		if err := errors.Join(r.setStatus(ctx, p, again), r.m.Sleep(ctx, restartPause)); err != nil {
			return err
		}
	}
}

// cancelWhenDeleted looks until the pod is to go.
func (r *run) cancelWhenDeleted(ctx context.Context, p *corev1.Pod, cancel func()) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		there := slices.ContainsFunc(r.opts.Pods.On(r.m.Name()), func(o *corev1.Pod) bool { return o.UID == p.UID && o.DeletionTimestamp == nil })
		if !there {
			cancel()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// status is that of a pod whose containers have ended.
func (e ended) status(p *corev1.Pod) corev1.PodStatus {
	now := metav1.Now()
	s := corev1.PodStatus{Phase: corev1.PodSucceeded, Conditions: notReady(), StartTime: &e.began}
	for i, c := range p.Spec.Containers {
		t := &corev1.ContainerStateTerminated{ExitCode: e.codes[i], Reason: "Completed", StartedAt: e.began, FinishedAt: now}
		if t.ExitCode != 0 {
			t.Reason, s.Phase = "Error", corev1.PodFailed
		}
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, RestartCount: e.restarts, State: corev1.ContainerState{Terminated: t},
		})
	}
	return s
}

// runContainer runs a container's command and returns its exit code.
func (r *run) runContainer(ctx context.Context, c corev1.Container, log io.Writer) int32 {
	argv := slices.Concat(c.Command, c.Args)
	if len(argv) != 3 || argv[0] != "sh" || argv[1] != "-c" {
		return 0
	}
	var env []string
	for _, e := range c.Env {
		env = append(env, e.Name+"="+strings.ReplaceAll(e.Value, "$$", "$"))
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(argv[2]), "sh")
	if err != nil {
		fmt.Fprintln(log, err)
		return 2
	}
	shell, err := interp.New(
		interp.Env(expand.ListEnviron(env...)), interp.StdIO(nil, log, log),
		interp.OpenHandler(func(context.Context, string, int, os.FileMode) (io.ReadWriteCloser, error) {
			return nil, os.ErrNotExist
		}),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(ctx context.Context, args []string) error {
				if args[0] == "sleep" && len(args) == 2 {
					if seconds, err := strconv.ParseFloat(args[1], 64); err == nil {
						return r.m.Sleep(ctx, time.Duration(seconds*float64(time.Second)))
					}
				}
				fmt.Fprintf(interp.HandlerCtx(ctx).Stderr, "sh: %s: not found\n", args[0])
				return interp.ExitStatus(127)
			}
		}),
	)
	if err != nil {
		fmt.Fprintln(log, err)
		return 2
	}
	err = shell.Run(ctx, file)
	var status interp.ExitStatus
	switch {
	case errors.As(err, &status):
		return int32(status)
	case err != nil:
		return 137
	}
	return 0
}

// keepLog keeps what a container wrote, the last of it.
func (r *run) keepLog(p *corev1.Pod, container string, text []byte) {
	r.Kubelet.mu.Lock()
	defer r.Kubelet.mu.Unlock()
	r.logs[p.Namespace+"/"+p.Name+"/"+container] = text[max(0, len(text)-mostLogged):]
}

// serveLog serves the end of a container's log, as `kubectl logs --tail` asks for it.
func (r *run) serveLog(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("namespace") + "/" + req.PathValue("pod") + "/" + req.PathValue("container")
	r.Kubelet.mu.Lock()
	text := r.logs[name]
	r.Kubelet.mu.Unlock()
	if n, err := strconv.Atoi(req.URL.Query().Get("tailLines")); err == nil {
		lines := bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
		text = bytes.Join(lines[max(0, len(lines)-n):], nil)
	}
	if n, err := strconv.Atoi(req.URL.Query().Get("limitBytes")); err == nil {
		text = text[:min(n, len(text))]
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(text)
}
