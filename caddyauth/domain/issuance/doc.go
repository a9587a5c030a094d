// Package issuance decides what may be issued. It owns one question, Service.Terms: may a token be
// issued for this grant, how long does it live, which claims does it carry, and in which format? It
// also owns the two ways on which the question is asked: a sign-in (Service.SignIn) and the use of
// a refresh token (Service.Refresh).
//
// Project, client and user are read once for each of them, in one statement and together with the
// server's epoch. What changes after that read is caught by the step that writes: it holds only
// while those who were read may still be issued to, and every revocation has a higher epoch than
// the tokens that were made before it.
package issuance
