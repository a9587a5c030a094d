//go:build !unix

package caddyauth

// descriptorLimit is not known here.
func descriptorLimit() uint64 { return 0 }
