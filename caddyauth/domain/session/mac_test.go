package session

import "testing"

func TestMACsAreOfTheirTextAndPurpose(t *testing.T) {
	older, newer := Secret{ID: "1", Key: []byte("older")}, Secret{ID: "2", Key: []byte("newer")}
	tokens := Tokens{Secrets: []Secret{newer, older}}
	mac, before := tokens.MAC("visit", "text"), Tokens{Secrets: []Secret{older}}.MAC("visit", "text")
	for _, c := range []struct {
		name               string
		purpose, text, mac string
		want               bool
	}{
		{"its own", "visit", "text", mac, true},
		{"of the secret before", "visit", "text", before, true},
		{"another text", "visit", "texts", mac, false},
		{"another purpose", "visi", "ttext", mac, false},
		{"cut", "visit", "text", mac[:len(mac)-1], false},
		{"empty", "visit", "text", "", false},
		{"of a secret that is gone", "visit", "text",
			Tokens{Secrets: []Secret{{ID: "0", Key: []byte("gone")}}}.MAC("visit", "text"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := tokens.HasMAC(c.purpose, c.text, c.mac); got != c.want {
				t.Error(got)
			}
		})
	}
}
