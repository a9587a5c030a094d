// Package revocation owns what ends tokens before they expire: denials, the list of them that every
// gate reads, and the clock by which they are deleted.
//
// A token is denied by its id, by its family (the `sid` of its session), or by an epoch. Epochs are
// for users, clients and projects: one number of the whole server grows with each [Revocation], and
// a token carries the number that was current before its owner was checked. A revocation denies
// every token of its user, client or project with a lower number, whatever the clocks of the nodes
// say, and a later sign-in is valid at once. [Subject] is what a token says about itself for this.
//
// [DenyList] (denylist.go) is read by gates on every request without a lock. [Watch] (watch.go)
// keeps it up to date with what other nodes revoke. [SteadyClock] (clock.go) says what is surely
// past, whatever the system's clock did.
package revocation
