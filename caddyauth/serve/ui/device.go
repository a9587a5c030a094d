package ui

// Device asks a person who is signed in for the code that a device shows (RFC 8628, section 3.3).
// What they type in goes back as `user_code` in the query. The ids `user_code`, `continue` and
// `problem` stay what they are.
type Device struct {
	// Site is the host that asks, as it is shown.
	Site string

	// Subject is the name of the person.
	Subject string

	// Action is where the form leads: a path of this server.
	Action string

	// UserCode stands in the field already.
	UserCode string

	// Problem says in a sentence why the code was not taken. Default: none.
	Problem string

	// Links lead elsewhere. Default: none.
	Links []Link
}

func (Device) template() string      { return "device.html" }
func (Device) title() string         { return "Connect a device" }
func (Device) formOrigins() []string { return nil }
func (Device) hasForm() bool         { return true }
func (Device) framed() bool          { return false }
