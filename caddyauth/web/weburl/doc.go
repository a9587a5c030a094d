// Package weburl owns the rules about URLs that several packages need: public URLs and origins in
// their one spelling, whether a host can only mean this machine, and which parameters a query keeps
// when some are removed.
package weburl
