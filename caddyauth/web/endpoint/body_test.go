package endpoint

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func post(contentType, body string) (http.ResponseWriter, *http.Request) {
	r := httptest.NewRequest(http.MethodPost, "/?query=1", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return httptest.NewRecorder(), r
}

func TestForms(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		want                    error // nil: any
	}{
		{"JSON", JSONType, "a=b", ErrMediaType},
		{"no type", "", "a=b", ErrMediaType},
		{"too large", FormType, strings.Repeat("a", 101), ErrTooLarge},
		{"duplicate", FormType, "a=b&a=b", ErrDuplicate},
		{"duplicate, escaped", FormType, "a=b&%61=c", ErrDuplicate},
		{"not a form", FormType, "a=%zz", nil},
		{"semicolon", FormType, "a=b;c=d", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, r := post(c.contentType, c.body)
			form, err := ReadForm(w, r, 100)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, %v", form, err)
			}
		})
	}
	w, r := post(FormType+"; charset=utf-8", "a=b&c=&d")
	form, err := ReadForm(w, r, 100)
	if err != nil || len(form) != 3 || form["a"] != "b" || form["query"] != "" {
		t.Errorf("%v, %v", form, err)
	}
}

func TestObjects(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{``, "does not begin with a brace"},
		{`[]`, "does not begin with a brace"},
		{`null`, "does not begin with a brace"},
		{"\ufeff{}", "does not begin with a brace"},
		{`{"a":"b"`, "incomplete"},
		{`{"a":"b",}`, "syntax error"},
		{`{"a":tru}`, "syntax error"},
		{`{"a":"b"} {}`, "text after the object"},
		{`{"a":1,"a":2}`, "duplicate name"},
		{`{"a":1,"\u0061":2}`, "duplicate name"},
		{`{"x":{"y":1,"y":2}}`, "duplicate name"},
		{`{"x":[{"y":1,"y":2}]}`, "duplicate name"},
		{"{\"a\":\"\xff\"}", "not UTF-8"},
		{strings.Repeat(`{"a":`, 20), "nested deeper than 16 levels"},
		{`{"a":` + strings.Repeat("[", 40000), "nested deeper"},
	} {
		if members, err := ParseObject([]byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.30q: %v, %v; want %q", c.body, members, err, c.want)
		}
	}
	w, r := post(PatchType, ` {"a":"b","A":{"n":12345678901234567890}} `)
	members, err := ReadObject(w, r, 100, PatchType)
	if err != nil || string(members["a"]) != `"b"` || string(members["A"]) != `{"n":12345678901234567890}` {
		t.Errorf("%s, %v", members, err)
	}
	w, r = post(PatchType, `{}`)
	if _, err := ReadObject(w, r, 100); !errors.Is(err, ErrMediaType) {
		t.Error(err)
	}
}
