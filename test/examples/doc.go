// Package examples tests what lies in examples/: every manifest on a real API
// server with the real custom resources, and the Secrets and chart values of a
// global and a site cluster, the move from the playbook and the check for
// pipelines with the real program on a real Nautobot.
//
//	go test -tags e2e ./test/examples
//
// The Secrets are used as they are. The program runs as the chart's Job does:
// with its arguments, its environment, and the rights of its service account.
package examples
