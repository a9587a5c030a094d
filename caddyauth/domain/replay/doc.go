// Package replay owns what may be presented once only: the `jti` of client assertions, of DPoP
// proofs and of assertion grants. A use is known to all nodes when UseOnce returns.
package replay
