// Package browser owns what a gate does for browsers: it keeps applications from setting the
// gateway's cookies, renews sessions while people use them, and knows where a browser is sent to
// sign in and which page it is shown when it is refused. It needs no Caddy and writes no log.
package browser
