package pgtest

import (
	"errors"
	"net"
	"net/url"
	"sync"
	"time"
)

// Proxy is a relay on loopback that simulates a network: it can add latency, silently stop
// forwarding as a network that drops packets does, and cut connections. Data that it holds back is
// not lost, as TCP would send it again.
type Proxy struct {
	listener net.Listener
	target   string
	done     chan struct{} // closed with the test
	running  sync.WaitGroup

	mu       sync.Mutex
	delay    time.Duration
	released chan struct{} // closed while the proxy forwards
	choice   func(accepted int) bool
	links    map[*link]struct{}
	accepted int
}

// link is one client's connection and the one to the target.
type link struct {
	number         int // counts from 1
	client, server net.Conn
	asked          counter
}

// NewProxy returns a running relay to target, a host and a port. It ends with the test.
func NewProxy(t T, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal("pgtest: ", err)
	}
	p := &Proxy{
		listener: l,
		target:   target,
		done:     make(chan struct{}),
		released: make(chan struct{}),
		links:    make(map[*link]struct{}),
	}
	close(p.released)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// ProxyURL is URL by way of a relay, which is returned beside it.
func (p *Postgres) ProxyURL(t T, options ...string) (*Proxy, string) {
	t.Helper()
	u, err := url.Parse(p.URL(t, options...))
	if err != nil {
		t.Fatal("pgtest: ", err)
	}
	proxy := NewProxy(t, u.Host)
	u.Host = proxy.Addr()
	return proxy, u.String()
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Delay adds to each direction: a round trip takes twice as long more. What is on its way keeps the
// delay it was sent with.
func (p *Proxy) Delay(oneWay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = oneWay
}

// Hang stops forwarding on all connections, those that are made later included. They stay open.
// Resume delivers what was sent.
func (p *Proxy) Hang() { p.HangSome(func(int) bool { return true }) }

// HangSome is Hang for those connections of which choice says so; they are numbered from 1 in the
// order they were made.
func (p *Proxy) HangSome(choice func(number int) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.choice == nil {
		p.released = make(chan struct{})
	}
	p.choice = choice
}

// Resume ends Hang and HangSome.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.choice != nil {
		close(p.released)
	}
	p.choice = nil
}

// Cut closes all connections; new ones are taken.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Accepted returns how many connections were made so far.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Asked returns what the client of a connection has asked so far, while the connection is open.
// They are numbered from 1 in the order they were made.
func (p *Proxy) Asked(number int) Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.number == number {
			return l.asked.Traffic
		}
	}
	return Traffic{}
}

// Open returns how many connections are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) close() {
	close(p.done)
	p.listener.Close()
	p.Cut()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.mu.Lock()
		p.accepted++
		number := p.accepted // here, because the goroutines of two connections run in any order
		p.mu.Unlock()
		p.running.Go(func() { p.relay(client, number) })
	}
}

func (p *Proxy) relay(client net.Conn, number int) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	l := &link{number: number, client: client, server: server}
	if !p.add(l) {
		l.close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.forward(l, server, client) })
	both.Go(func() { p.forward(l, client, server) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// add is false when the test has ended.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return false
	default:
	}
	p.links[l] = struct{}{}
	return true
}

// chunk is what one Read returned, and when it may be handed on.
type chunk struct {
	bytes []byte
	due   time.Time
}

// forward ends with either connection. Reading goes on while chunks wait for their time: latency is
// no limit of throughput.
func (p *Proxy) forward(l *link, to, from net.Conn) {
	defer l.close()
	chunks := make(chan chunk, 1024)
	p.running.Go(func() {
		defer close(chunks)
		p.read(l, from, chunks)
	})
	for c := range chunks {
		if !p.wait(l, c.due) {
			break
		}
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	l.close()
	for range chunks { // the reader must not wait for anybody
	}
}

func (p *Proxy) read(l *link, from net.Conn, chunks chan<- chunk) {
	for {
		buffer := make([]byte, 16<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			if from == l.client {
				l.asked.read(buffer[:n])
			}
			due := time.Now().Add(p.delay)
			p.mu.Unlock()
			chunks <- chunk{buffer[:n], due}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when the link forwards and the moment has come; false when the test has ended.
func (p *Proxy) wait(l *link, due time.Time) bool {
	if left := time.Until(due); left > 0 {
		select {
		case <-time.After(left):
		case <-p.done:
			return false
		}
	}
	for {
		p.mu.Lock()
		hangs, released := p.choice != nil && p.choice(l.number), p.released
		p.mu.Unlock()
		if !hangs {
			return true
		}
		select {
		case <-released:
		case <-p.done:
			return false
		}
	}
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}
