package ui

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

// Consent asks whether a client may use the person's account. Its form has the fields and, by the
// button that was pressed, `decision`: "allow" or "deny". The ids `allow`, `deny`, `client`,
// `subject`, `scopes`, `learns`, `resources`, `redirect`, `notice`, `warnings` and `code` stay what
// they are.
type Consent struct {
	// Site is the host that asks, as it is shown.
	Site string

	// Subject is the name of the person.
	Subject string

	// Client is what people call the client, ClientHost the host of its home page. Default: no host is
	// shown.
	Client, ClientHost string

	// Scopes say in words what the client will be able to do, Learns what it will learn of the person,
	// Resources where it may do so. Default: none, and nothing is said.
	Scopes, Learns, Resources []string

	// UserCode is the code that the device of the client shows, to be compared. Default: the client is
	// no device.
	UserCode string

	// Warnings are sentences that stand out. Default: none.
	Warnings []string

	// Notice is a sentence to read before the decision. Default: none.
	Notice string

	// RedirectHost is where the answer goes, as it is shown. Default: nowhere.
	RedirectHost string

	// RedirectOrigin is the source expression of that place, as "https://host" or "com.example.app:":
	// Chromium applies the policy for forms to the redirect that follows one. Default: nowhere.
	RedirectOrigin string

	// Action is where the form is posted to: a path of this server.
	Action string

	// Fields are the hidden fields of the form.
	Fields []Field

	// Links lead elsewhere, such as to a sign-in with another account. Default: none.
	Links []Link
}

func (Consent) template() string        { return "consent.html" }
func (Consent) title() string           { return "Allow access" }
func (p Consent) formOrigins() []string { return origins(p.RedirectOrigin) }
func (Consent) hasForm() bool           { return true }
func (Consent) framed() bool            { return false }

// FormPost sends an authorization response to the client by a form (OAuth 2.0 Form Post Response
// Mode): its script submits it, and without scripts the person presses the button.
type FormPost struct {
	// Site is the host that the page is of, as it is shown.
	Site string

	// Host is the host that the form is sent to, as it is shown.
	Host string

	// Action is the redirect URI. It must have been checked.
	Action string

	// Origin is the source expression of Action, as "https://host".
	Origin string

	// Fields are the parameters of the response.
	Fields []Field
}

func (FormPost) template() string        { return "formpost.html" }
func (FormPost) title() string           { return "One moment" }
func (p FormPost) formOrigins() []string { return origins(p.Origin) }
func (FormPost) hasForm() bool           { return true }
func (FormPost) framed() bool            { return false }
