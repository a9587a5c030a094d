// Package cputime tells benchmarks what they cost the processor: on a machine that others use, too, it
// moves less than the clock. It is test support.
package cputime
