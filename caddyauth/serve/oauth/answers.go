package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// DefaultCacheFor is how long a good answer is remembered unless the configuration says
	// otherwise.
	DefaultCacheFor = time.Minute

	negativeFor  = 5 * time.Second // how long a refusal is remembered
	askFor       = 5 * time.Second // how long a question may take
	askAtOnce    = 32              // questions that may be under way at once
	enterFor     = 2 * time.Second // how long a question may wait until it is under way
	answerShards = 16
	mostGood     = 512 // tokens remembered in one shard
	mostRefused  = 128 // refusals remembered in one shard
)

// answers remembers for a short while what was said of opaque tokens: never past their end, never
// beyond its bounds, and not what the deny list knows better. Of callers who bring the same new
// token at once one asks and the others wait. Refusals have a place of their own, so that made-up
// tokens push no good one out. The zero value is empty.
type answers struct {
	shards [answerShards]answerShard
	asking chan struct{} // a place in it for each question; nil: no bound
}

type answerShard struct {
	mu            sync.RWMutex
	good, refused map[answerKey]answer
	questions     map[answerKey]*question
}

// answerKey is the SHA-256 of a token. Tokens have one spelling each.
type answerKey [sha256.Size]byte

func keyOf(raw string) answerKey {
	var text [128]byte // off the heap for all but the longest tokens
	return sha256.Sum256(append(text[:0], raw...))
}

// answer is a token, or why there is none.
type answer struct {
	token  *token.Token
	bearer revocation.Subject
	err    error
	until  time.Time
}

// question is one that is under way. The answer is set when done is closed.
type question struct {
	done chan struct{}
	answer
}

// memory is how long an answer is kept and what overrules it.
type memory struct {
	denied   *revocation.DenyList
	cacheFor time.Duration
}

// recall returns what is known of the token. It allocates nothing, and holds a lock for reading
// alone.
func (a *answers) recall(key answerKey, m memory) (t *token.Token, known bool, err error) {
	s := &a.shards[key[0]%answerShards]
	found, known := s.look(key, time.Now())
	if !known {
		return nil, false, nil
	}
	t, err = s.judge(key, found, m)
	return t, true, err
}

// find asks, unless somebody else is doing so, and returns the answer. One which could not be had
// is a *token.Refusal with token.KeysUnavailable, with its cause beside it.
func (a *answers) find(ctx context.Context, key answerKey, m memory, ask func(context.Context) (*token.Token, error)) (*token.Token, error) {
	s := &a.shards[key[0]%answerShards]
	q, first := s.join(key, time.Now())
	if first {
		a.askFirst(ctx, s, key, q, m, ask)
	}
	select {
	case <-q.done:
		return s.judge(key, q.answer, m)
	case <-ctx.Done():
		return nil, cannotAsk(ctx.Err())
	}
}

// judge holds an answer against the deny list, which is newer.
func (s *answerShard) judge(key answerKey, known answer, m memory) (*token.Token, error) {
	if known.err != nil {
		return nil, known.err
	}
	if m.denied != nil && m.denied.Denied(known.bearer) != "" {
		s.drop(key, m.cacheFor)
		return nil, errRevoked
	}
	return known.token, nil
}

var (
	errRevoked    = &token.Refusal{Reason: token.Revoked, Detail: "the token was revoked"}
	errNoAnswer   = errors.New("the question was not answered")
	errManyAsking = errors.New("too many questions are under way")
)

func cannotAsk(cause error) error {
	return fmt.Errorf("%w: %w", &token.Refusal{Reason: token.KeysUnavailable, Detail: "whoever knows the token cannot be asked at the moment"}, cause)
}

// look returns an answer that is still good at now.
func (s *answerShard) look(key answerKey, now time.Time) (answer, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.standing(key, now)
}

func (s *answerShard) standing(key answerKey, now time.Time) (answer, bool) {
	known, ok := s.good[key]
	if !ok {
		known, ok = s.refused[key]
	}
	return known, ok && now.Before(known.until)
}

// join returns the question under way about a token, or a new one that the caller has to ask.
func (s *answerShard) join(key answerKey, now time.Time) (q *question, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q = s.questions[key]; q != nil {
		return q, false
	}
	q = &question{done: make(chan struct{}), answer: answer{err: cannotAsk(errNoAnswer)}}
	if known, ok := s.standing(key, now); ok { // answered since the caller looked
		q.answer = known
		close(q.done)
		return q, false
	}
	if s.questions == nil {
		s.good, s.refused, s.questions = map[answerKey]answer{}, map[answerKey]answer{}, map[answerKey]*question{}
	}
	s.questions[key] = q
	return q, true
}

// askFirst asks on behalf of everybody who waits, so that the end of one request does not fail the
// others.
func (a *answers) askFirst(ctx context.Context, s *answerShard, key answerKey, q *question, m memory, ask func(context.Context) (*token.Token, error)) {
	defer s.finish(key, q, m.cacheFor)
	if !a.enter() {
		q.err = cannotAsk(errManyAsking)
		return
	}
	defer a.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askFor)
	defer cancel()
	t, err := ask(ctx)
	switch {
	case err == nil:
		q.answer = answer{token: t, bearer: t.RevocationSubject()}
	case isRefusal(err):
		q.answer = answer{err: err}
	default:
		q.answer = answer{err: cannotAsk(err)}
	}
}

// enter waits for a place among the questions, so that a flood of made-up tokens or an endpoint
// that hangs binds so many and no more.
func (a *answers) enter() bool {
	if a.asking == nil {
		return true
	}
	select {
	case a.asking <- struct{}{}:
		return true
	case <-time.After(enterFor):
		return false
	}
}

func (a *answers) leave() {
	if a.asking != nil {
		<-a.asking
	}
}

func isRefusal(err error) bool {
	r, ok := errors.AsType[*token.Refusal](err)
	return ok && r.Reason != token.KeysUnavailable
}

// finish remembers the answer, unless there is none, and hands it to those who wait.
func (s *answerShard) finish(key answerKey, q *question, cacheFor time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.questions, key)
	switch {
	case q.token != nil:
		if q.until = now.Add(cacheFor); q.token.Expiry.Before(q.until) {
			q.until = q.token.Expiry
		}
		keep(s.good, key, q.answer, mostGood, now)
	case isRefusal(q.err):
		q.until = now.Add(min(negativeFor, cacheFor))
		keep(s.refused, key, q.answer, mostRefused, now)
	}
	close(q.done)
}

// keep puts an answer into a map of at most most. When that is full, what is over goes, and if
// nothing is, any one.
func keep(in map[answerKey]answer, key answerKey, known answer, most int, now time.Time) {
	if !now.Before(known.until) {
		return
	}
	if len(in) >= most {
		for other, a := range in {
			if !now.Before(a.until) {
				delete(in, other)
			}
		}
	}
	if len(in) >= most {
		for other := range in {
			delete(in, other)
			break
		}
	}
	in[key] = known
}

// drop forgets a token that was revoked, and remembers so much for the time of a refusal.
func (s *answerShard) drop(key answerKey, cacheFor time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.good, key)
	keep(s.refused, key, answer{err: errRevoked, until: now.Add(min(negativeFor, cacheFor))}, mostRefused, now)
}

// remembered is how long good answers are kept: DefaultCacheFor for zero, not at all below.
func remembered(setting time.Duration) time.Duration {
	if setting == 0 {
		return DefaultCacheFor
	}
	return max(setting, 0)
}
