package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// call is a request to be sent exactly as written.
type call struct {
	method, target string   // GET and / when empty
	host           string   // Host or :authority
	lines          []string // `Name: value`, in this spelling and order
	body           string
	trailers       []string // lines after the body
	announced      string   // value of the Trailer field; "" announces nothing
}

// answer is a response, or the way in which there was none.
type answer struct {
	status int
	header http.Header
	body   string
	broken error // connection closed or stream reset without a response
}

// reason is the reason code of a refusal: the body's and the challenge's, which must be the same
// word.
func (a answer) reason(t *testing.T) string {
	t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") && a.body != "" { // empty after HEAD
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Errorf("the body %q is no JSON: %v", a.body, err)
		}
	}
	challenge := a.header.Get("WWW-Authenticate")
	if said := parameter(challenge, "error_description"); said != "" && body.Description != "" &&
		said != body.Description {
		t.Errorf("challenge says %q, body says %q", said, body.Description)
	} else if body.Description == "" {
		return said
	}
	return body.Description
}

// parameter finds one parameter of a challenge.
func parameter(challenge, name string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(challenge, "Bearer "), ", ") {
		if key, value, ok := strings.Cut(part, "="); ok && key == name {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// protocol is a way to send a call.
type protocol struct {
	name string
	send func(t *testing.T, addr string, c call) answer
}

var protocols = []protocol{{"h1", sendHTTP1}, {"h2", sendHTTP2}}

const clientPatience = 20 * time.Second

func dial(addr string) (net.Conn, error) {
	conn, err := dialAgain(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(clientPatience))
}

func mustDial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := dial(addr)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return conn
}

// withPairs adds parameters, each a name and a value.
func withPairs(values url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values
}

func (c call) filled() call {
	if c.method == "" {
		c.method = http.MethodGet
	}
	if c.target == "" {
		c.target = "/"
	}
	return c
}

// text is the call in HTTP/1.1.
func (c call) text() string {
	c = c.filled()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.method, c.target, c.host)
	for _, line := range c.lines {
		b.WriteString(line + "\r\n")
	}
	if c.announced != "" {
		b.WriteString("Trailer: " + c.announced + "\r\n")
	}
	if len(c.trailers) == 0 {
		if c.body != "" {
			fmt.Fprintf(&b, "Content-Length: %d\r\n", len(c.body))
		}
		return b.String() + "\r\n" + c.body
	}
	fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n", len(c.body), c.body)
	for _, line := range c.trailers {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

func sendHTTP1(t *testing.T, addr string, c call) answer {
	t.Helper()
	conn, err := dial(addr)
	if err != nil {
		return answer{broken: err}
	}
	return sendOver(conn, c)
}

// sendOver sends a call over a connection and closes it.
func sendOver(conn net.Conn, c call) answer {
	defer conn.Close()
	// A server may refuse before it has read everything; what it said counts, so a failed write is
	// no end.
	_, writeErr := io.WriteString(conn, c.text())
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.filled().method})
	if err != nil {
		return answer{broken: errors.Join(err, writeErr)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body), broken: err}
}

// sendHTTP2 speaks HTTP/2 with prior knowledge, frame by frame. Names are sent in lower case, as
// RFC 9113 section 8.2.1 demands; apart from that they are as written.
func sendHTTP2(t *testing.T, addr string, c call) answer {
	t.Helper()
	conn, err := dial(addr)
	if err != nil {
		return answer{broken: err}
	}
	defer conn.Close()
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := errors.Join(writePreface(conn, framer), writeCall(framer, c.filled())); err != nil {
		return answer{broken: err}
	}
	return readStream(framer)
}

func writePreface(conn net.Conn, framer *http2.Framer) error {
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	return framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0})
}

func writeCall(framer *http2.Framer, c call) error {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: c.method}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: c.host},
		{Name: ":path", Value: c.target},
	}
	fields = append(fields, fieldsOf(c.lines)...)
	if c.announced != "" {
		fields = append(fields, hpack.HeaderField{Name: "trailer", Value: c.announced})
	}
	if c.body != "" && len(c.trailers) == 0 {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(len(c.body))})
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	if err := writeFields(framer, encoder, &block, fields, c.body == "" && len(c.trailers) == 0); err != nil {
		return err
	}
	if c.body != "" {
		if err := framer.WriteData(1, len(c.trailers) == 0, []byte(c.body)); err != nil {
			return err
		}
	}
	if len(c.trailers) == 0 {
		return nil
	}
	return writeFields(framer, encoder, &block, fieldsOf(c.trailers), true)
}

func fieldsOf(lines []string) []hpack.HeaderField {
	var fields []hpack.HeaderField
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: strings.TrimPrefix(value, " ")})
	}
	return fields
}

// writeFields writes a header block, in CONTINUATION frames where it is over the smallest maximum
// frame size.
func writeFields(framer *http2.Framer, encoder *hpack.Encoder, block *bytes.Buffer,
	fields []hpack.HeaderField, end bool) error {
	block.Reset()
	for _, f := range fields {
		if err := encoder.WriteField(f); err != nil {
			return err
		}
	}
	const most = 16384
	first := block.Next(most)
	err := framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      1,
		BlockFragment: first,
		EndStream:     end,
		EndHeaders:    block.Len() == 0,
	})
	for err == nil && block.Len() > 0 {
		fragment := block.Next(most)
		err = framer.WriteContinuation(1, block.Len() == 0, fragment)
	}
	return err
}

// readStream reads frames until stream 1 is over.
func readStream(framer *http2.Framer) answer {
	a := answer{header: http.Header{}}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			a.broken = err
			return a
		}
		if done, err := a.take(framer, frame); done || err != nil {
			a.broken = err
			return a
		}
	}
}

func (a *answer) take(framer *http2.Framer, frame http2.Frame) (bool, error) {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return false, framer.WriteSettingsAck()
		}
	case *http2.MetaHeadersFrame:
		a.takeHeaders(f)
		return f.StreamEnded(), nil
	case *http2.DataFrame:
		a.body += string(f.Data())
		return f.StreamEnded(), nil
	case *http2.RSTStreamFrame:
		if a.status != 0 && f.ErrCode == http2.ErrCodeNo { // the response is complete, the rest of the request unwanted
			return true, nil
		}
		return true, fmt.Errorf("stream reset: %v", f.ErrCode)
	case *http2.GoAwayFrame:
		if a.status == 0 {
			return true, fmt.Errorf("connection ended: %v %s", f.ErrCode, f.DebugData())
		}
	}
	return false, nil
}

func (a *answer) takeHeaders(f *http2.MetaHeadersFrame) {
	if status, err := strconv.Atoi(f.PseudoValue("status")); err == nil && status >= 200 {
		a.status = status
	}
	for _, field := range f.RegularFields() {
		a.header.Add(field.Name, field.Value)
	}
}

// login signs a person in as a program does and returns the access token.
func (g *gateway) login(t *testing.T, name, password string, more ...string) string {
	t.Helper()
	a := g.tryLogin(t, name, password, more...)
	if a.status != http.StatusOK {
		t.Fatalf("login of %s: status %d: %s", name, a.status, a.body)
	}
	var body struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Token == "" ||
		!strings.EqualFold(body.Type, "Bearer") {
		t.Fatalf("login of %s: %s (%v)", name, a.body, err)
	}
	g.tokens.remember(body.Token)
	return body.Token
}

func (g *gateway) tryLogin(t *testing.T, name, password string, more ...string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]string{"username": name, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	return g.ask(t, "auth", call{
		method: http.MethodPost, target: "/api/default/auth/login",
		lines: append([]string{"Content-Type: application/json", "Accept: application/json"}, more...),
		body:  string(body),
	})
}

// formLogin signs a person in as the login page does and returns the session cookie's value and the
// whole answer.
func (g *gateway) formLogin(t *testing.T, name, password, next string, more ...string) (string, answer) {
	t.Helper()
	form := url.Values{"username": {name}, "password": {password}}
	if next != "" {
		form.Set("next", next)
	}
	a := g.ask(t, "auth", call{
		method: http.MethodPost, target: "/login",
		lines: append([]string{
			"Content-Type: application/x-www-form-urlencoded", "Accept: text/html", "Origin: " + g.url("auth"),
			"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate",
		}, more...),
		body: form.Encode(),
	})
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == "access_token" && cookie.Value != "" {
			g.tokens.remember(cookie.Value)
			return cookie.Value, a
		}
	}
	return "", a
}

// ask sends a call to a site, again when the connection was cut: at a reload the listening sockets
// change hands, and Caddy closes the old ones a moment after the new configuration stands.
func (g *gateway) ask(t *testing.T, site string, c call) answer {
	t.Helper()
	got := g.send(t, site, c)
	for again := 0; got.status == 0 && got.broken != nil && again < 5; again++ {
		got = g.send(t, site, c)
	}
	return got
}

// send sends a call to a site, once.
func (g *gateway) send(t *testing.T, site string, c call) answer {
	t.Helper()
	c.host = g.host(site)
	if g.roots != nil {
		return g.sendTLS(t, g.addr(site), c)
	}
	return sendHTTP1(t, g.addr(site), c)
}

// get asks a site with a bearer token; "" sends none.
func (g *gateway) get(t *testing.T, site, target, bearer string, more ...string) answer {
	t.Helper()
	if bearer != "" {
		more = append([]string{"Authorization: Bearer " + bearer}, more...)
	}
	return g.ask(t, site, call{target: target, lines: more})
}

func unescape(t *testing.T, s string) string {
	t.Helper()
	plain, err := url.QueryUnescape(s)
	if err != nil {
		t.Errorf("%q: %v", s, err)
	}
	return plain
}
