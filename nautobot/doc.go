// Package nautobot is the adapter to Nautobot's REST API, versions 2.4 to
// 3.2: users, tokens, groups and permissions, through go-nautobot.
//
// go-nautobot builds and sends the requests. Its models cannot read a user
// from Nautobot 3, so answers are decoded here, from the body into structs
// with only the fields that are needed.
//
// A failed request is an *Error. errors.Is with the errors of package provision
// says what it means: only Nautobot's own words count as a refusal. Reads are sent
// again while Nautobot is unavailable; a write is not, except after a 429, which
// did nothing.
package nautobot
