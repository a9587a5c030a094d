// Command load sends GET requests to one URL for a while over kept connections and prints one line
// of what came of it. With a rate it sends at fixed times, and a request's latency counts from the
// time at which it was due (so that a stall is not forgotten); without one it sends as fast as
// answers come. With a file of tokens, one a line, it sends them in turn; with a number of requests
// it ends with the last of them. Every answer must be 200.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is what to send.
type load struct {
	url         string
	header      http.Header
	connections int
	duration    time.Duration
	rate        int // requests per second; 0 is as fast as answers come
	number      int // requests; 0 is as many as there is time for
	headers     []http.Header
	sent        atomic.Int64
	client      *http.Client
}

// tally is what one connection saw.
type tally struct {
	latencies []time.Duration
	failed    int
	last      error
}

func main() {
	l := load{header: make(http.Header)}
	flag.StringVar(&l.url, "url", "", "the URL to ask")
	flag.IntVar(&l.connections, "c", 32, "connections")
	flag.DurationVar(&l.duration, "d", 2*time.Second, "for how long")
	flag.IntVar(&l.rate, "rate", 0, "requests per second; 0 is as fast as answers come")
	flag.IntVar(&l.number, "n", 0, "requests; 0 is as many as there is time for")
	tokens := flag.String("tokens", "",
		"a file of bearer tokens to send in turn, one a line; a Cookie header may follow a tab")
	flag.Func("H", "a header, `Name: value`; may be repeated", l.addHeader)
	flag.Parse()
	if l.url == "" || l.connections < 1 || l.duration <= 0 || l.rate < 0 || l.number < 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := l.prepare(*tokens); err != nil {
		log.Fatal(err)
	}
	if err := l.run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func (l *load) addHeader(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return errors.New("want `Name: value`")
	}
	l.header.Add(name, strings.TrimSpace(value))
	return nil
}

// prepare makes the headers of the requests: one of each token, or one for all.
func (l *load) prepare(file string) error {
	if file == "" {
		l.headers = []http.Header{l.header}
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		header := l.header.Clone()
		token, cookie, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
		if cookie != "" {
			header.Set("Cookie", cookie)
		}
		l.headers = append(l.headers, header)
	}
	if len(l.headers) == 0 {
		l.headers = []http.Header{l.header}
	}
	return nil
}

// run prints requests per second and the latencies in microseconds, or returns what went wrong.
func (l *load) run(w io.Writer) error {
	l.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		MaxIdleConnsPerHost: l.connections, MaxConnsPerHost: l.connections, DisableCompression: true,
	}}
	defer l.client.CloseIdleConnections()
	began := time.Now()
	sum := l.send(began)
	took := time.Since(began)
	if sum.failed > 0 || len(sum.latencies) == 0 {
		all := sum.failed + len(sum.latencies)
		return fmt.Errorf("%d of %d requests failed, the last with: %w", sum.failed, all, sum.last)
	}
	slices.Sort(sum.latencies)
	at := func(part float64) int64 { return sum.latencies[int(part*float64(len(sum.latencies)-1))].Microseconds() }
	_, err := fmt.Fprintf(w, "requests %d rps %.0f p50 %d p99 %d max %d\n",
		len(sum.latencies), float64(len(sum.latencies))/took.Seconds(), at(0.5), at(0.99), at(1))
	return err
}

// send lets every connection send its share.
func (l *load) send(began time.Time) tally {
	ctx, cancel := context.WithDeadline(context.Background(), began.Add(l.duration))
	defer cancel()
	due := l.schedule(ctx, began)
	results := make([]tally, l.connections)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = l.connection(ctx, due) })
	}
	wg.Wait()
	var sum tally
	for _, r := range results {
		sum.latencies = append(sum.latencies, r.latencies...)
		sum.failed += r.failed
		sum.last = errors.Join(sum.last, r.last)
	}
	return sum
}

// schedule hands out the times at which requests are due; nil when there is no rate.
func (l *load) schedule(ctx context.Context, began time.Time) <-chan time.Time {
	if l.rate == 0 {
		return nil
	}
	due := make(chan time.Time, l.rate)
	go func() {
		defer close(due)
		for i := 0; ; i++ {
			at := began.Add(time.Duration(i) * time.Second / time.Duration(l.rate))
			timer := time.NewTimer(time.Until(at))
			select {
			case <-timer.C:
				due <- at
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}()
	return due
}

func (l *load) connection(ctx context.Context, due <-chan time.Time) (seen tally) {
	for {
		at := time.Now()
		if due != nil {
			var open bool
			if at, open = <-due; !open {
				return seen
			}
		} else if ctx.Err() != nil {
			return seen
		}
		turn := int(l.sent.Add(1)) - 1
		if l.number > 0 && turn >= l.number {
			return seen
		}
		if err := l.ask(l.headers[turn%len(l.headers)]); err != nil {
			seen.failed, seen.last = seen.failed+1, err
			continue
		}
		seen.latencies = append(seen.latencies, time.Since(at))
	}
}

func (l *load) ask(header http.Header) error {
	req, err := http.NewRequest(http.MethodGet, l.url, nil)
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
