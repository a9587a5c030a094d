// Package finding owns the form of a remark about a configuration, which `caddy auth check` prints
// and a start logs: how severe it is, where it applies, what is wrong and what to change.
package finding
