package ui

import "strings"

// Page is one of Login, SignedIn, SignOut, SignedOut, Start, Applications, Message, Consent, FormPost
// and Device.
type Page interface {
	// template names the file below pages/.
	template() string
	// title is what the browser's tab says.
	title() string
	// formOrigins are the origins that a form of the page may lead to, beside the page's own; nil
	// when it has no form.
	formOrigins() []string
	// hasForm says whether the page has a form to post.
	hasForm() bool
	// framed says whether the page may stand in a frame of its own origin.
	framed() bool
}

// Link is the text and the address of a link. The address must have been checked.
type Link struct{ Text, URL string }

// Login is the form that asks for a name and a password.
type Login struct {
	// Site is the host that the person signs in to, as it is shown.
	Site string

	// Action is where the form is posted to: a path of this server.
	Action string

	// Next is the checked address to go to afterwards, a hidden field. Default: none.
	Next string

	// NextOrigin is the origin of Next if it is not the page's own, as "https://host". Chromium
	// applies form-action to the redirect after a form, too, so the policy must contain it.
	NextOrigin string

	// NextHost is the host of Next as it is shown. Default: none, and nothing is said.
	NextHost string

	// LeadsTo is the address of an application to which Next redirects. Default: Next redirects to
	// no other origin.
	LeadsTo string

	// Username is the initial value of the name field.
	Username string

	// Problem says in a sentence why the last attempt failed. Default: none.
	Problem string

	// Notice says in a sentence what happened before, such as a sign-out. Default: none.
	Notice string

	// AsksCookies lets the form say that its page has left a cookie, which the browser then must
	// bring back.
	AsksCookies bool

	// Links lead elsewhere, such as home. Default: none.
	Links []Link
}

func (Login) template() string { return "login.html" }
func (Login) title() string    { return "Sign in" }
func (p Login) formOrigins() []string {
	return append(origins(p.NextOrigin), origins(FormSources(p.LeadsTo))...)
}
func (Login) hasForm() bool { return true }
func (Login) framed() bool  { return false }

// SignedIn tells a person that they are signed in, and leads on.
type SignedIn struct {
	// Site is the host that the person is signed in to, as it is shown.
	Site string

	// Subject is the name of the person.
	Subject string

	// SignOut is where the sign-out form is posted to: a path of this server.
	SignOut string

	// Next is the checked address that the page leads on to. Default: none, and no link is shown.
	Next string

	// NextHost is the host of Next as it is shown.
	NextHost string

	// Unreachable says that the sign-in cannot reach NextHost: the cookie belongs to Site alone. The
	// page then explains it instead of sending the person in a loop.
	Unreachable bool

	// Refused says that whoever sent the person here did not accept the sign-in. The page then says
	// so instead of leading on.
	Refused bool

	// Links lead elsewhere, such as to a sign-in with another account. Default: none.
	Links []Link
}

func (SignedIn) template() string      { return "signedin.html" }
func (SignedIn) title() string         { return "Signed in" }
func (SignedIn) formOrigins() []string { return nil }
func (SignedIn) hasForm() bool         { return true }
func (SignedIn) framed() bool          { return false }

// SignOut asks whether the person wants to sign out. The ids `sign-out`, `stay` and `client` stay what
// they are.
type SignOut struct {
	// Site is the host to sign out of, as it is shown.
	Site string

	// Subject is the name of the person. Default: unknown, and no name is shown.
	Subject string

	// Action is where the form is posted to: a path of this server.
	Action string

	// Back is where the person goes who stays signed in: a path of this server.
	Back string

	// Next is the checked address to go to after the next sign-in, a hidden field. Default: none.
	Next string

	// Client is the application that wants the person to sign out, as it is shown. Default: the person
	// came by themselves.
	Client string

	// Fields are further hidden fields of the form. Default: none.
	Fields []Field

	// LeadsTo is the address of an application to which the answer to the form redirects. It must have
	// been checked. Default: none.
	LeadsTo string
}

func (SignOut) template() string        { return "signout.html" }
func (SignOut) title() string           { return "Sign out" }
func (p SignOut) formOrigins() []string { return origins(FormSources(p.LeadsTo)) }
func (SignOut) hasForm() bool           { return true }
func (SignOut) framed() bool            { return false }

// SignedOut says that the person is signed out. The id `signed-out` of its sentence, and the sentence,
// stay what they are.
type SignedOut struct {
	// Site is the host that the person was signed in to, as it is shown.
	Site string

	// Links are the next steps, the likeliest first. Default: none.
	Links []Link
}

func (SignedOut) template() string      { return "signedout.html" }
func (SignedOut) title() string         { return "Signed out" }
func (SignedOut) formOrigins() []string { return nil }
func (SignedOut) hasForm() bool         { return false }
func (SignedOut) framed() bool          { return false }

// Start is the page at the root of the server for a user who is not signed in.
type Start struct {
	// Site is the host that one can sign in to, as it is shown.
	Site string

	// Links lead to the sign-in page and home.
	Links []Link
}

func (Start) template() string      { return "start.html" }
func (Start) title() string         { return "Not signed in" }
func (Start) formOrigins() []string { return nil }
func (Start) hasForm() bool         { return false }
func (Start) framed() bool          { return false }

// Message is a refusal or an error, with what a person can do next.
type Message struct {
	// Site is the host that says so, as it is shown. Default: none.
	Site string

	// Title is the heading, a few words.
	Title string

	// Text explains in a sentence or two, to whoever visits the site, not to its operator.
	Text string

	// Subject is the name of the person who is signed in. Default: unknown, and no name is shown.
	Subject string

	// Code is the stable word for the reason, which helps a person to ask for help. Default: none.
	Code string

	// Links are the next steps, the likeliest first. Default: none.
	Links []Link

	// Framed lets pages of the same origin show the message in a frame. Links then lead out of it.
	Framed bool
}

func (Message) template() string      { return "message.html" }
func (p Message) title() string       { return p.Title }
func (Message) formOrigins() []string { return nil }
func (Message) hasForm() bool         { return false }
func (p Message) framed() bool        { return p.Framed }

func origins(origin string) []string {
	if origin == "" {
		return nil
	}
	return []string{origin}
}

// FormSources returns what the policy for forms must allow when a form leads to an address of an
// application: its scheme, for the application may redirect to another of its hosts, and Chromium
// applies the policy to that, too. No host is named, because a policy cannot name an IPv6 address.
func FormSources(address string) string {
	scheme, _, found := strings.Cut(address, ":")
	switch {
	case !found:
		return ""
	case scheme == "https":
		return "https:"
	}
	return "https: " + scheme + ":"
}
