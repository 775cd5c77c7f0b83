//go:build e2e

package chain

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// BenchmarkLatency measures from the write of a Secret until Nautobot takes its
// token, and beside it how long the node needs for a Job of the same image
// that does nothing, in turn:
//
//	go test -tags e2e -run '^$' -bench Latency -benchtime 10x ./test/chain
func BenchmarkLatency(b *testing.B) {
	var chain, empty time.Duration
	i := 0
	for b.Loop() {
		i++
		begin := time.Now()
		name := strings.ToLower(rand.Text()) // another one each time, with -count too
		a := newAccount(b, watched, "latency-"+name)
		a.save(b)
		eventually(b, a.usable)
		chain += time.Since(begin)
		a.wantJobs(b, 1)

		begin = time.Now()
		runEmptyJob(b, "empty-"+name)
		empty += time.Since(begin)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(chain.Milliseconds())/float64(i), "chain-ms")
	b.ReportMetric(float64(empty.Milliseconds())/float64(i), "empty-Job-ms")
	b.ReportMetric(float64(chain)/float64(empty), "ratio")
}

// runEmptyJob runs a Job that prints the program's version, and returns when its
// Pod has ended.
func runEmptyJob(b *testing.B, name string) {
	b.Helper()
	confined := object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []any{"ALL"}}}
	pod := object{
		"restartPolicy":   "Never",
		"securityContext": object{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": object{"type": "RuntimeDefault"}},
		"containers": []any{object{
			"name": "empty", "image": imageRepository + ":" + imageTag, "args": []any{"version"}, "securityContext": confined,
			"resources": object{"requests": object{"cpu": "50m", "memory": "32Mi"}, "limits": object{"memory": "128Mi"}}, // as the chart's Jobs
		}},
	}
	if err := apply(b.Context(), object{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": name, "namespace": home},
		"spec": object{"template": object{"spec": pod}},
	}); err != nil {
		b.Fatal(err)
	}
	eventually(b, func(ctx context.Context) error {
		all, err := pods(ctx, "batch.kubernetes.io/job-name="+name)
		if err == nil && (len(all) == 0 || all[0].Status.Phase != corev1.PodSucceeded) {
			err = fmt.Errorf("of %d Pods, none has ended", len(all))
		}
		return err
	})
}
