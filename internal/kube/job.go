package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/fault"
)

// hookKey is the annotation that says which run of a hook a Job is.
const hookKey = "pawl.dev/hook-run"

// jobLook is the pause between two looks at a Job that runs.
const jobLook = time.Second

// RunJob makes the Job of a manifest under the name, with env (NAME=value) in all its containers, or finds the one that
// was made for the same key already, and waits for its end. It returns the last lines of its log. The Job is left for
// people to look at; ttlSecondsAfterFinished in the manifest removes it.
func (c *Cluster) RunJob(ctx context.Context, manifest []byte, name, key string, env []string, most time.Duration) (string, error) {
	const op = "run the Job"
	job, err := c.hookJob(manifest, name, key, env, most)
	if err != nil {
		return "", err
	}
	target := job.Namespace + "/" + job.Name
	jobs := c.client.BatchV1().Jobs(job.Namespace)
	bound, cancel := bounded(ctx)
	_, err = jobs.Create(bound, job, metav1.CreateOptions{})
	cancel()
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", c.classify(op, target, err)
	}
	deadline := time.Now().Add(most + most/10 + time.Minute) // the Job controller ends it before
	for {
		bound, cancel := bounded(ctx)
		now, err := jobs.Get(bound, job.Name, metav1.GetOptions{})
		cancel()
		switch {
		case apierrors.IsNotFound(err):
			return "", fault.New(fault.HookFailed, op, target, "it was deleted before its end was seen", "nobody knows whether it did its work")
		case err != nil:
			return "", c.classify(op, target, err)
		case now.Annotations[hookKey] != key:
			return "", fault.New(fault.HookFailed, op, target, "there is another Job of that name", "delete it, or rename the hook")
		}
		for _, condition := range now.Status.Conditions {
			if condition.Status != corev1.ConditionTrue {
				continue
			}
			switch condition.Type {
			case batchv1.JobComplete:
				return c.jobLog(ctx, now), nil
			case batchv1.JobFailed:
				return "", fault.New(fault.HookFailed, op, target, fmt.Sprintf("it failed (%s: %s): %s", condition.Reason, condition.Message, c.jobLog(ctx, now)), "")
			}
		}
		if time.Now().After(deadline) {
			return "", fault.New(fault.HookFailed, op, target, fmt.Sprintf("it did not end within %s", most), "")
		}
		select {
		case <-ctx.Done():
			return "", fault.Wrap(fault.OutcomeUnknown, op, target, ctx.Err(), "it goes on running in the cluster")
		case <-time.After(jobLook):
		}
	}
}

// CheckJob asks the API whether it would take the Job of a manifest, and makes none.
func (c *Cluster) CheckJob(ctx context.Context, manifest []byte) error {
	job, err := c.hookJob(manifest, "", "", nil, time.Minute)
	if err != nil {
		return err
	}
	job.GenerateName, job.Name = job.Name, ""
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err = c.client.BatchV1().Jobs(job.Namespace).Create(ctx, job, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return c.classify("try the Job", job.Namespace+"/"+job.GenerateName, err)
}

// hookJob reads a manifest and makes it the Job of one run.
func (c *Cluster) hookJob(manifest []byte, name, key string, env []string, most time.Duration) (*batchv1.Job, error) {
	const op = "read the Job of"
	var job batchv1.Job
	if err := yaml.UnmarshalStrict(manifest, &job); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, op, c.name, err, "wanted one manifest of a batch/v1 Job")
	}
	if job.APIVersion != "batch/v1" || job.Kind != "Job" {
		return nil, fault.New(fault.InvalidInput, op, c.name, fmt.Sprintf("it is a %s %s, wanted a batch/v1 Job", job.APIVersion, job.Kind), "")
	}
	prefix := strings.TrimRight(cmp.Or(job.Name, job.GenerateName, "pawl-hook"), "-")
	job.Name, job.GenerateName = prefix[:min(len(prefix), validation.DNS1123LabelMaxLength-len(name)-1)]+"-"+name, ""
	job.Namespace = cmp.Or(job.Namespace, metav1.NamespaceDefault)
	if job.Annotations == nil {
		job.Annotations = map[string]string{}
	}
	job.Annotations[hookKey] = key
	if job.Spec.ActiveDeadlineSeconds == nil {
		seconds := int64(max(1, most/time.Second))
		job.Spec.ActiveDeadlineSeconds = &seconds
	}
	pod := &job.Spec.Template.Spec
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range containers {
			for _, variable := range env {
				name, value, _ := strings.Cut(variable, "=")
				containers[i].Env = append(containers[i].Env, corev1.EnvVar{Name: name, Value: strings.ReplaceAll(value, "$(", "$$(")})
			}
		}
	}
	return &job, nil
}

// jobLog is the end of what the newest pod of a Job wrote, or why that cannot be read.
func (c *Cluster) jobLog(ctx context.Context, job *batchv1.Job) string {
	ctx, cancel := bounded(ctx)
	defer cancel()
	pods, err := c.client.CoreV1().Pods(job.Namespace).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name})
	if err != nil {
		return "its log cannot be read: " + c.classify("list the pods of", job.Name, err).Error()
	}
	if len(pods.Items) == 0 {
		return "it has no pod whose log could be read"
	}
	newest := slices.MaxFunc(pods.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	lines, most := int64(8), int64(4096)
	text, err := c.client.CoreV1().Pods(job.Namespace).GetLogs(newest.Name, &corev1.PodLogOptions{
		Container: newest.Spec.Containers[0].Name, TailLines: &lines, LimitBytes: &most,
	}).DoRaw(ctx)
	if err != nil {
		return "its log cannot be read: " + c.classify("read the log of", newest.Name, err).Error()
	}
	return lastLines(string(text))
}

// lastLines are those of a log, short enough for one line of text.
func lastLines(log string) string {
	const most = 600
	var lines []string
	for line := range strings.Lines(log) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "no output"
	}
	s := strings.Join(lines, " | ")
	if len(s) > most {
		s = "..." + strings.ToValidUTF8(s[len(s)-most:], "")
	}
	return s
}
