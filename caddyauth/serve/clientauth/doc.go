// Package clientauth owns the request of a client to an endpoint for programs: its form (form.go),
// how it authenticates (authenticate.go; RFC 6749, section 2.3), and the answer that it gets when it
// is refused (problem.go; RFC 6749, section 5.2). The endpoints are those of other packages.
package clientauth
