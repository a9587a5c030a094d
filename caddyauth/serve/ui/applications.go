package ui

import (
	"hash/fnv"
	"html/template"
	"slices"
	"strings"
	"unicode"
)

// Applications is the start page of a person who is signed in: what they may use. Its search works
// without scripts, too, by the parameter `q`. The ids `subject`, `sign-out`, `search`, `find`,
// `applications`, `no-match` and `no-application` stay what they are.
type Applications struct {
	// Site is the host that the person is signed in to, as it is shown.
	Site string

	// Subject is the name of the person.
	Subject string

	// SignOut is where the sign-out form is posted to, Search where the search leads: paths of this
	// server.
	SignOut, Search string

	// Query stands in the search field already.
	Query string

	// List is what is shown, in this order. Default: the page says that there is nothing.
	List []Application
}

// Application is one of a list.
type Application struct {
	// Name is what people call it.
	Name string

	// URL is where it is opened, Host the host of it as it is shown.
	URL, Host string

	// Icon is the address of its picture: an http or https URL, or data:image/... IconSource is the
	// source expression of the place that it comes from. Default: a letter stands for it.
	Icon, IconSource string

	// Hidden says that it is not among what the person searches for.
	Hidden bool
}

func (Applications) template() string      { return "applications.html" }
func (Applications) title() string         { return "Your applications" }
func (Applications) formOrigins() []string { return nil }
func (Applications) hasForm() bool         { return true }
func (Applications) framed() bool          { return false }

// imageSources are the places of the icons on the page, each once.
func (p Applications) imageSources() (sources []string) {
	for _, a := range p.List {
		if a.IconSource != "" && !slices.Contains(sources, a.IconSource) {
			sources = append(sources, a.IconSource)
		}
	}
	return sources
}

// Found reports whether anything is shown.
func (p Applications) Found() bool {
	return slices.ContainsFunc(p.List, func(a Application) bool { return !a.Hidden })
}

// Picture is the address of the icon. The template package takes no data: address that it is not told
// to trust.
func (a Application) Picture() template.URL {
	begin := strings.ToLower(a.Icon[:min(len(a.Icon), len("data:image/"))])
	for _, prefix := range []string{"https://", "http://", "data:image/"} {
		if strings.HasPrefix(begin, prefix) {
			return template.URL(a.Icon)
		}
	}
	return ""
}

// Letter stands for an application without an icon.
func (a Application) Letter() string {
	for _, r := range a.Name {
		if unicode.In(r, unicode.L, unicode.N, unicode.S) {
			return string(unicode.ToUpper(r))
		}
	}
	return "•"
}

// tints is how many colours letters may have.
const tints = 6

// Tint is the colour of the letter, which stays with the name.
func (a Application) Tint() uint32 {
	h := fnv.New32a()
	h.Write([]byte(a.Name))
	return h.Sum32() % tints
}
