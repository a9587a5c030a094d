// Package registration owns how clients come that nobody who runs the server has added: those that
// register themselves (RFC 7591, RFC 7592), and those whose client_id is the URL of a document that
// says what they are (OAuth Client ID Metadata Document). Both say it in the words of RFC 7591,
// section 2, and neither is believed more than that: they are public or prove themselves, people are
// always asked, and no grant is theirs that gives tokens without a person.
package registration
