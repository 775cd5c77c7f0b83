// Package kube is the adapter to Kubernetes. It finds the cluster like kubectl,
// reads Secrets by name, by label or from a manifest, and leaves Events on them.
// For check it reads other objects, too (kinds.go, objects.go).
//
// A Secret that is gone is provision.ErrNoSecret, but only in the API server's own
// words; a manifest that cannot be used is a *provision.Refusal. Reads of Secrets
// wait for an API server that is away. No error shows a value of a Secret.
package kube
