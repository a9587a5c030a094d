// Package backchannel owns the notices by which clients learn that a sign-in has ended (OpenID Connect
// Back-Channel Logout): when one is tried, when it is given up, and who delivers it. A notice is
// written in the transaction that ends the sign-in, so that none is lost.
package backchannel
