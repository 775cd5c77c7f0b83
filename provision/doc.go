// Package provision ensures that Nautobot has exactly the account that a Kubernetes
// Secret describes: the user, its password, its API token, and no older token.
//
// It holds the rules and nothing else. It knows neither HTTP nor Kubernetes:
// nautobot.go says what it needs from both. A Secret goes through the files in
// this order:
//
//	account.go    what the Secret asks for, checked (hosts.go, sensitive.go)
//	policy.go     what the operator's rule allows
//	desired.go    the two together, and how the account logs in
//	owner.go      which account is whose, and who may change it
//	observe.go    what Nautobot has: asks, decides nothing
//	plan.go       what differs, as an ordered list of steps (plan_group.go,
//	              plan_user.go, plan_token.go): decides, sends nothing
//	write.go      the requests of the steps, and what Nautobot's answers mean
//	reconcile.go  observe, plan, apply, until nothing is left to do
//	report.go     what was done
//
// provision.go does that for one Secret, sync.go for many; revoke.go and prune.go end the
// accounts of Secrets that are gone, and setup.go makes a provisioner's account.
// errors.go says what an error means: after a *Refusal, nothing works until
// somebody changes something; after anything else, the next run may work.
package provision
