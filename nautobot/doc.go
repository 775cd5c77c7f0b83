// Package nautobot is the adapter to Nautobot's REST API, versions 2.4 to
// 3.2: users, tokens, groups and permissions, by way of go-nautobot.
//
// go-nautobot builds and sends the requests. Its models cannot read a user
// from Nautobot 3, so answers are decoded here, from the body into structs
// with only the fields that are needed.
//
// A request that failed is an *Error. What it means is asked with errors.Is and
// the errors of package provision: only Nautobot's own words count as a refusal.
// Reads are sent again while Nautobot is away; a write is not, except after a 429,
// which did nothing.
package nautobot
