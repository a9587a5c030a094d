// Command load sends requests to one URL for a while over kept connections and prints one line of
// what came of it. With a rate it sends at fixed times, and a request's latency counts from the time
// at which it was due (so that a stall is not forgotten); without one it sends as fast as answers
// come. With a number of requests it ends with the last of them.
//
// It sends GET requests, with a file of tokens, one a line, each of them in turn. With a form it
// sends that by POST. A form may have a part of its own in each request: a line of a file, of which
// each is sent once, or a refresh token, which the answer replaces. It can also keep the codes of
// authorization responses, to be sent as such a file. Every answer must have the expected status.
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

// load is what to send, and how.
type load struct {
	connections int
	duration    time.Duration
	rate        int // requests per second; 0 is as fast as answers come
	number      int // requests; 0 is as many as there is time for
	requests
	sent atomic.Int64
}

// tally is what one connection saw.
type tally struct {
	latencies []time.Duration
	failed    int
	last      error
}

func main() {
	l := load{requests: requests{header: make(http.Header)}}
	var f files
	flag.StringVar(&l.url, "url", "", "the URL to ask")
	flag.IntVar(&l.connections, "c", 32, "connections")
	flag.DurationVar(&l.duration, "d", 2*time.Second, "for how long")
	flag.IntVar(&l.rate, "rate", 0, "requests per second; 0 is as fast as answers come")
	flag.IntVar(&l.number, "n", 0, "requests; 0 is as many as there is time for")
	flag.IntVar(&l.status, "status", http.StatusOK, "the status that every answer must have")
	flag.StringVar(&l.form, "form", "", "a form to send by POST")
	flag.StringVar(&f.tokens, "tokens", "",
		"a file of bearer tokens to send in turn, one a line; a Cookie header may follow a tab")
	flag.StringVar(&f.each, "each", "", "a file of which each line ends the form of one request")
	flag.StringVar(&f.refresh, "refresh", "",
		"a file of refresh tokens, one a line and connection; those that replace them are written to it")
	flag.StringVar(&f.codes, "codes", "", "a file to write the codes of redirects to, as `code=...`")
	flag.Func("H", "a header, `Name: value`; may be repeated", l.addHeader)
	flag.Parse()
	if l.url == "" || l.connections < 1 || l.duration <= 0 || l.rate < 0 || l.number < 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := l.prepare(f); err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(l.run(os.Stdout), l.keep(f)); err != nil {
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

// prepare reads the files. A connection has one refresh token, and a line is sent once.
func (l *load) prepare(f files) error {
	if err := l.read(f); err != nil {
		return err
	}
	if l.each != nil && (l.number == 0 || l.number > len(l.each)) {
		l.number = len(l.each)
	}
	if l.refresh != nil && len(l.refresh) < l.connections {
		return fmt.Errorf("%s: %d tokens for %d connections", f.refresh, len(l.refresh), l.connections)
	}
	l.codes = make([][]string, l.connections)
	return nil
}

// run prints requests per second and the latencies in microseconds, or returns what went wrong.
func (l *load) run(w io.Writer) error {
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
		wg.Go(func() { results[i] = l.connection(ctx, i, due) })
	}
	wg.Wait()
	var sum tally
	for _, r := range results {
		sum.latencies = append(sum.latencies, r.latencies...)
		sum.failed += r.failed
		if r.last != nil {
			sum.last = r.last
		}
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

func (l *load) connection(ctx context.Context, number int, due <-chan time.Time) (seen tally) {
	w := &wire{}
	defer w.close()
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
		if err := l.ask(w, number, turn); err != nil {
			seen.failed, seen.last = seen.failed+1, err
			continue
		}
		seen.latencies = append(seen.latencies, time.Since(at))
	}
}
