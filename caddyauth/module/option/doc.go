// Package option owns how one option of the gateway is read: from a Caddyfile its arguments,
// durations, flags and blocks, in which a duplicate is refused; from JSON its durations; and its
// placeholders when a configuration is provisioned.
package option
