// Package provision makes Nautobot have exactly the account that a Kubernetes
// Secret describes: the user, its password, its API token, and no older token.
//
// It holds the rules and nothing else. What a Secret must look like is in
// account.go, who may change which account in policy.go, what Nautobot has in
// observe.go, what differs in plan.go, the order of the writes in apply.go,
// and the run that ties them together in provision.go. It knows neither HTTP
// nor Kubernetes: nautobot.go says what it needs of both.
package provision
