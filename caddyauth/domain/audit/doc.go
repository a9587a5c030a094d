// Package audit owns the record of what was done: the entries of the audit trail, and the events
// from which they and the log lines are made.
package audit
