// Package kube is the adapter to Kubernetes: it finds the cluster, reads
// Secrets by name or from a manifest, and leaves Events on them.
package kube
