package gate

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// After an upgrade (RFC 9110, section 7.8) client and application speak another protocol on the
// same connection, which nobody sees into. In HTTP/2 they would go on with requests of any path and
// with any header, so only what cannot carry HTTP passes.
const (
	websocket     = "websocket"
	upgradeName   = "upgrade"
	settingsName  = "http2-settings" // RFC 7540, section 3.2.1
	protocolName  = ":protocol"      // RFC 8441, section 4
	upgradeHeader = "Upgrade"
)

// CheckUpgrade refuses protocols that a gate must not let pass by name: what is not one name (RFC
// 9110, section 7.8), and what carries HTTP or negotiates it.
func CheckUpgrade(protocol string) error {
	name, version, versioned := strings.Cut(protocol, "/")
	if !isToken(name) || versioned && !isToken(version) {
		return fmt.Errorf("upgrades: %q is not the name of a protocol, such as tcp or SPDY/3.1", protocol)
	}
	switch lower := strings.ToLower(name); {
	case lower == websocket:
		return fmt.Errorf("upgrades: %q passes in any case", protocol)
	case strings.HasPrefix(lower, "h2"), strings.HasPrefix(lower, "h3"), lower == "http", lower == "https",
		lower == "tls", lower == "ssl":
		return fmt.Errorf("upgrades: %q carries requests that no gate would see; "+
			"let the proxy speak HTTP/2 to the application with `reverse_proxy h2c://...`", protocol)
	}
	return nil
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
			!strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// WantsUpgrade reports whether a request asks for an upgrade other than a lone WebSocket.
func WantsUpgrade(r *http.Request) bool {
	return len(r.Header[upgradeHeader]) > 0 && !passesUpgrade(r, nil)
}

// StripUpgrade removes from a request what Strip does of upgrades, and nothing else.
func StripUpgrade(r *http.Request) {
	for name := range r.Header {
		if connectionField(name) != 0 {
			noneOwned.stripConnection(r, nil)
			break
		}
	}
	if r.Method == http.MethodConnect {
		stripExtendedConnect(r)
	}
}

var noneOwned Owned

// passesUpgrade reports whether the application may see the upgrade that r asks for: one line with
// one protocol, which is websocket in what opens one (RFC 6455, section 4.1) or one of the others.
// Proxies read a list in their own ways, so none passes.
func passesUpgrade(r *http.Request, others []string) bool {
	lines := r.Header[upgradeHeader]
	if len(lines) != 1 || r.ProtoMajor != 1 || r.ProtoMinor != 1 {
		return false
	}
	protocol := textproto.TrimString(lines[0])
	if equalFold(protocol, websocket) {
		return r.Method == http.MethodGet
	}
	return slices.ContainsFunc(others, func(other string) bool { return equalFold(protocol, other) })
}

// equalFold compares ASCII text: strings.EqualFold alone takes the Kelvin sign for a k.
func equalFold(a, ascii string) bool { return len(a) == len(ascii) && strings.EqualFold(a, ascii) }

// stripExtendedConnect leaves a plain CONNECT of one that asks for another protocol than websocket:
// Caddy makes an upgrade of a WebSocket over HTTP/2 and HTTP/3 and hands other protocols to
// applications that speak HTTP/2.
func stripExtendedConnect(r *http.Request) {
	if lines, ok := r.Header[protocolName]; ok {
		if r.ProtoMajor != 2 || len(lines) != 1 || lines[0] != websocket {
			delete(r.Header, protocolName)
		}
	}
	if r.ProtoMajor == 3 && r.Proto != websocket {
		r.Proto = "HTTP/3.0"
	}
}

// connectionField says which of the fields that belong to the connection a header name is, in any
// spelling; 0 for all others.
func connectionField(name string) fieldKind {
	switch len(name) {
	case len(upgradeName):
		if foldsTo(name, upgradeName) {
			return upgradeField
		}
	case len("connection"):
		if foldsTo(name, "connection") {
			return optionsField
		}
	case len(settingsName):
		if foldsTo(name, settingsName) {
			return settingsField
		}
	}
	return 0
}

type fieldKind int

const (
	upgradeField fieldKind = 1 + iota
	optionsField
	settingsField
)

// stripConnection removes upgrades that may not pass, with the settings of HTTP/2, and from the
// Connection fields what asks for them and what names an owned header: a proxy deletes what
// Connection names (RFC 9110, section 7.6.1), and Caddy's does so after middleware has set the
// header.
func (o *Owned) stripConnection(r *http.Request, upgrades []string) {
	passes := passesUpgrade(r, upgrades)
	for name := range r.Header {
		switch connectionField(name) {
		case settingsField:
			delete(r.Header, name)
		case upgradeField:
			if !passes || name != upgradeHeader {
				delete(r.Header, name)
			}
		case optionsField:
			o.stripOptions(r.Header, name, passes)
		}
	}
}

// stripOptions removes options from the lines of one Connection field. Lines that have none of
// these stay as they are.
func (o *Owned) stripOptions(h http.Header, name string, passes bool) {
	removed := func(option string) bool {
		kind := connectionField(option)
		return kind == settingsField || kind == upgradeField && !passes || o.owns(option)
	}
	lines := h[name]
	if !slices.ContainsFunc(lines, func(line string) bool { return hasOption(line, removed) }) {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		var options []string
		for option := range strings.SplitSeq(line, ",") {
			if option = textproto.TrimString(option); option != "" && !removed(option) {
				options = append(options, option)
			}
		}
		if len(options) > 0 {
			kept = append(kept, strings.Join(options, ", "))
		}
	}
	if len(kept) == 0 {
		delete(h, name)
		return
	}
	h[name] = kept
}

func hasOption(line string, is func(option string) bool) bool {
	for option := range strings.SplitSeq(line, ",") {
		if is(textproto.TrimString(option)) {
			return true
		}
	}
	return false
}
