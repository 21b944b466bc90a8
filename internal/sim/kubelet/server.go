package kubelet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/utils/exec"
)

// serve serves the part of the kubelet's API that the API server passes on: its pods, logs, and commands in containers. It
// belongs to the process: while the kubelet is away nobody answers.
func (r *run) serve() (stop func(), err error) {
	certificate, err := tls.LoadX509KeyPair(r.opts.Certificate, r.opts.Key)
	if err != nil {
		return nil, fmt.Errorf("serve the kubelet's API: %w", err)
	}
	l, err := net.Listen("tcp", r.api)
	if err != nil {
		return nil, fmt.Errorf("serve the kubelet's API: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pods", r.servePods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", r.serveLog)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", r.serveExec)
	server := &http.Server{
		Handler: mux, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	}
	go func() { _ = server.ServeTLS(l, "", "") }()
	return func() { _ = server.Close() }, nil
}

// servePods answers with what the kubelet runs, static pods as their manifests say and not as their mirrors do.
func (r *run) servePods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	for _, p := range r.opts.Pods.On(r.m.Name()) {
		if p.Annotations[configMirror] == "" {
			list.Items = append(list.Items, *p)
		}
	}
	r.Kubelet.mu.Lock()
	for _, s := range r.static {
		if s == nil {
			continue
		}
		p := s.pod.DeepCopy()
		if s.ready {
			p.Status = r.runningStatus(p, r.opts.Address, time.Now())
		}
		list.Items = append(list.Items, *p)
	}
	r.Kubelet.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

const execTimeout = 30 * time.Second

func (r *run) serveExec(w http.ResponseWriter, req *http.Request) {
	options, err := remotecommand.NewOptions(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, req, r, req.PathValue("pod"), "", req.PathValue("container"), req.URL.Query()["command"],
		options, execTimeout, execTimeout, remotecommand.SupportedStreamingProtocols)
}

// ExecInContainer implements remotecommand.Executor for the one container that has programs worth running: etcd's.
func (r *run) ExecInContainer(ctx context.Context, pod, _, container string, argv []string, _ io.Reader, stdout, stderr io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if pod != etcdComponent+"-"+r.m.Name() || container != etcdComponent || !r.EtcdUp() {
		return fmt.Errorf("container %s of pod %s does not run", container, pod)
	}
	out, err := r.etcd(ctx, argv)
	_, werr := io.WriteString(stdout, out)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exec.CodeExitError{Err: err, Code: 1}
	}
	return werr
}

// etcd runs the programs of etcd's image against the cluster's real etcd. The members that it names are the model's.
func (r *run) etcd(ctx context.Context, argv []string) (string, error) {
	words := slices.DeleteFunc(slices.Clone(argv), func(arg string) bool { return strings.HasPrefix(arg, "-") })
	switch line := strings.Join(words, " "); {
	case line == "etcdctl endpoint health":
		return r.opts.Etcd.Health()
	case line == "etcdctl endpoint status":
		return r.opts.Etcd.MemberStatus(ctx)
	case strings.HasPrefix(line, "etcdctl snapshot save ") && len(words) == 4:
		return r.opts.Etcd.Save(ctx, r.onDisk(words[3]))
	case strings.HasPrefix(line, "etcdutl snapshot status ") && len(words) == 4:
		return r.opts.Etcd.Status(ctx, r.onDisk(words[3]))
	}
	return "", fmt.Errorf("%s: not modelled in simulated etcd containers", strings.Join(argv, " "))
}

// onDisk is where a file of the container is on this computer: etcd's data directory is the host's.
func (r *run) onDisk(file string) string {
	return filepath.Join(r.m.Options().Dir, filepath.FromSlash(file))
}
