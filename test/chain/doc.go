// Package chain tests everything together: a Secret is written, and by the
// chart's objects, Argo Events and a Job of the image, its account is in
// Nautobot. Every part is the real one, on a node of its own.
package chain
