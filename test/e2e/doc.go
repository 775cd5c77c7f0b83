// Package e2e holds the end-to-end tests: the real binary, run as a Job would
// run it, against a real kube-apiserver and real Nautobots.
//
//	go test -tags e2e ./test/e2e
//	go test -tags e2e ./test/e2e -run TestRotation/3.2.7/provisioner -v
//
// Tests of what is written run twice on each Nautobot: with the superuser's
// token, and with that of a provisioner, which the setup command makes.
//
// Between the program and Nautobot stands a proxy that records every request
// and can spoil chosen ones. Every run of the program, in every test, is
// checked for secrets in its output, its command line and its URLs.
package e2e
