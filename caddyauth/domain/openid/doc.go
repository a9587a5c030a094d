// Package openid owns which claims of a person a client learns: what each scope stands for, the
// standard ones and the operator's own, and what of a person's claims may be told under which name.
package openid
