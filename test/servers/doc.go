// Package servers starts real servers for end-to-end tests: a Kubernetes
// control plane (etcd and kube-apiserver), a whole cluster with one node and
// Argo Events, Nautobot (with PostgreSQL and Redis), External Secrets Operator,
// OpenBao and a web API for secrets. Everything listens on free loopback ports
// or in a network of its own, and lives in a temporary directory of its own, so
// that several can run at once, and nothing is left after Stop, nor after the
// death of the program that started it.
//
// A cluster is a control plane put together differently: cluster.go, node.go,
// image.go, relay.go, namespace_linux.go and argo_events.go are about that one,
// and use the parts of kubernetes.go, pki.go, process.go and build.go.
//
// What takes minutes is done once and kept in the cache directory (see
// CacheDir): building programs from Go modules, installing with pip, and
// migrating Nautobot's empty database. Programs that share the cache take turns
// at this. The tests of this package start most of it, and need more than the
// usual ten minutes the first time:
//
//	go test -tags e2e -timeout 60m ./test/servers
package servers
