// Package handover owns the sign-in of browsers at applications on other hosts than the server's. A
// gate that finds no session sends the browser to the server's authorization endpoint, with a sealed
// state that only this browser can bring back; the answer comes to a path of the application's own
// host, is redeemed in process, and becomes a session of that host alone. The server keeps nothing of
// an attempt: it stands in the address and in a cookie. Signing out of the application is here, too.
package handover
