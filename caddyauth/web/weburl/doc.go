// Package weburl owns what is asked of URLs in more than one room: whether a host can only mean
// this machine, and which parameters a query has left when some are taken out.
package weburl
