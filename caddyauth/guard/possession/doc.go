// Package possession owns the question whether whoever presents a token that is bound to a key has
// that key: the DPoP proof of a request to an application (RFC 9449, section 7).
//
// A proof is good for one request on all nodes. That takes one write in the store for each request,
// which nonces do not replace: they bound the age of a proof, and within that age a proof that was
// seen on its way would still be good a second time, on this node or another. A nonce of one node
// that is good nowhere else would do without the store, and would send every client of a group of
// nodes back for another nonce with nearly every request.
package possession
