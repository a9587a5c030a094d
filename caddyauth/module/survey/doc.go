// Package survey owns what a gate cannot see from a request and learns from the configuration's
// routes: where it stands, what rewrites requests before and behind it, which other gates a request
// would have met, what a gate is called, and which routes are behind no gate. It asks handlers
// through the interface Guard.
package survey
