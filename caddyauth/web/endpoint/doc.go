// Package endpoint owns what every HTTP endpoint of the server has in common: which operation a
// request below the public URL is for, bodies of bounded size, JSON answers and errors, the
// client's address, and which answers pages of other origins may read; and what a server of such
// endpoints is, see [Server].
//
// It decides nothing about a request. A server keeps its operations in a [Routes] table, asks it
// with [Routes.Find] or [Routes.Match], reads the body with [ReadForm] or [ReadObject], and answers
// with [WriteJSON] or [WriteError].
package endpoint
