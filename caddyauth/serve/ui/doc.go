// Package ui owns the pages that people see: their texts, their style and their security headers.
// The templates are embedded; a page loads nothing, neither from this server nor from another, but for
// the icons of applications.
//
// Callers fill a page value (Login, SignedIn, SignOut, Message) and give it to Render. All text in
// it is data and is escaped; addresses in it must have been checked by the caller.
package ui
