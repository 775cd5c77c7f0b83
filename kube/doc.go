// Package kube is the adapter to Kubernetes. It finds the cluster as kubectl
// does, reads Secrets by name, by label or from a manifest, and leaves Events on
// them. For check, it also reads other objects (kinds.go, objects.go).
//
// A Secret that is gone is provision.ErrNoSecret, but only in the API server's own
// words; a manifest that cannot be used is a *provision.Refusal. Reads of Secrets
// wait for an API server that is unavailable. No error shows a value of a Secret.
package kube
