package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// files are the names of those that a load reads and writes; empty is none.
type files struct{ tokens, each, refresh, codes string }

// requests are what a load sends.
type requests struct {
	url    string
	header http.Header
	form   string // sent by POST; empty: GET
	status int    // what every answer must have

	host    string
	heads   []string   // of the requests in turn, without the empty line behind them
	each    []string   // ends of the form, each sent once
	refresh []string   // the refresh token of each connection
	codes   [][]string // what each connection was sent
}

// read prepares the requests.
func (q *requests) read(f files) error {
	u, err := url.Parse(q.url)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no URL to ask: %w", q.url, err)
	}
	q.host = u.Host
	tokens, err := lines(f.tokens)
	if err == nil {
		q.each, err = lines(f.each)
	}
	if err == nil {
		q.refresh, err = lines(f.refresh)
	}
	if len(tokens) == 0 {
		tokens = []string{""}
	}
	for _, line := range tokens {
		q.heads = append(q.heads, q.head(u.RequestURI(), line))
	}
	return err
}

// lines are those of a file, nil when it has no name.
func lines(file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"), err
}

// head is the head of a request with the credentials of a line.
func (q *requests) head(target, line string) string {
	header := q.header.Clone()
	token, cookie, _ := strings.Cut(line, "\t")
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	if cookie != "" {
		header.Set("Cookie", cookie)
	}
	method := http.MethodGet
	if q.form != "" {
		method = http.MethodPost
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, q.host)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	return b.String()
}

// text is the request of a turn on a connection.
func (q *requests) text(connection, turn int) string {
	head, body := q.heads[turn%len(q.heads)], q.form
	switch {
	case q.form == "":
		return head + "\r\n"
	case q.each != nil:
		body += "&" + q.each[turn]
	case q.refresh != nil:
		body += "&refresh_token=" + q.refresh[connection]
	}
	return head + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// ask sends the request of a turn and learns from the answer.
func (q *requests) ask(w *wire, connection, turn int) error {
	resp, body, err := w.exchange(q.host, q.text(connection, turn))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != q.status:
		return fmt.Errorf("status %d: %.200s", resp.StatusCode, body)
	case q.refresh != nil:
		return q.rotate(connection, body)
	case q.status == http.StatusSeeOther:
		return q.collect(connection, resp.Header.Get("Location"))
	}
	return nil
}

// rotate takes the next refresh token from an answer.
func (q *requests) rotate(connection int, body []byte) error {
	var answer struct {
		Token string `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if answer.Token == "" || answer.Token == q.refresh[connection] {
		return errors.New("the refresh token was not replaced")
	}
	q.refresh[connection] = answer.Token
	return nil
}

// collect keeps the code of an authorization response. Without one, that was no success.
func (q *requests) collect(connection int, location string) error {
	u, err := url.Parse(location)
	if err != nil {
		return err
	}
	code := u.Query().Get("code")
	if code == "" {
		return fmt.Errorf("no code in %s", location)
	}
	q.codes[connection] = append(q.codes[connection], "code="+url.QueryEscape(code))
	return nil
}

// keep writes what was learned.
func (q *requests) keep(f files) error {
	var err error
	if f.refresh != "" {
		err = write(f.refresh, q.refresh)
	}
	if f.codes != "" {
		err = errors.Join(err, write(f.codes, slices.Concat(q.codes...)))
	}
	return err
}

func write(file string, lines []string) error {
	return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}
