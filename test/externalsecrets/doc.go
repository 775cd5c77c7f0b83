// Package externalsecrets holds the tests of what comes before the program: a
// credential in a real OpenBao, or behind a web API, is rendered into a Secret
// by the real controller of External Secrets Operator, as the examples say, and
// the built program makes a real Nautobot have that account.
//
//	go test -tags e2e ./test/externalsecrets
//
// Nothing starts the program here but the tests. That the examples can be
// rendered at all, and what cannot be, is tested in test/tools/external-secrets
// without any server.
package externalsecrets
