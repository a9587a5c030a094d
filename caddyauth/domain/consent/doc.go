// Package consent owns what people have allowed clients: which scopes, for which resources, since
// when. It is asked before an authorization code is made, so that a person is asked again only for
// what is new.
package consent
