// Package servers starts real servers for end-to-end tests: a Kubernetes
// control plane (etcd and kube-apiserver) and Nautobot (with PostgreSQL and
// Redis). Everything listens on free loopback ports and lives in a temporary
// directory of its own, so that several can run at once, and nothing is left
// after Stop, nor after the death of the program that started it.
//
// What takes minutes is done once and kept in the cache directory (see
// CacheDir): building Kubernetes from its Go modules, installing Nautobot with
// pip, and migrating its empty database. Programs that share the cache take
// turns at this. The tests of this package start all of it, and need more than
// the usual ten minutes the first time:
//
//	go test -tags e2e -timeout 60m ./test/servers
package servers
