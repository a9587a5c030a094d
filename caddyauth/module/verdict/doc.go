// Package verdict owns the directive `auth_verdict`, by which the gates of a site answer other
// proxies that ask whether they may pass a request on.
package verdict
