// Package session owns what outlives an access token: grants (families of refresh tokens), the rule
// by which a refresh token is used up and replaced, the ways to end a grant, and the deny list by
// which every node knows at once what has been ended.
//
// A grant is one row in the store, whatever the number of its refresh tokens: they are made of the
// family, a generation and a MAC (token.go), so that nothing secret is stored and a successor can
// be made again. The rule of their use stands in use.go; the store applies it in one atomic step.
// Service (service.go, revoke.go) is what the other rooms call.
//
// The deny list (denylist.go) is read by the gate on every request without a lock; Watch (watch.go)
// keeps it up to date with what other nodes revoke.
//
// Users, clients and projects are revoked by epochs: one number of the whole server grows with each
// such order, and a token carries the number which was current before its owner was checked. An
// order denies every token of its subject with a lower one, whatever the clocks of the nodes say,
// and a later sign-in is good at once.
package session
