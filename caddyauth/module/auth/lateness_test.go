package auth

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestALateListIsToldOnce(t *testing.T) {
	core, seen := observer.New(zap.DebugLevel)
	l := lateness{logger: zap.New(core)}
	away := errors.New("away")
	for _, step := range []struct {
		age time.Duration
		err error
	}{
		{0, nil}, {500 * time.Millisecond, away}, {0, nil}, {time.Second, away}, {2 * time.Second, away},
		{9 * time.Second, away}, {0, nil}, {0, nil}, {time.Second, away},
	} {
		l.note(step.age, step.err)
	}
	var told []string
	for _, e := range seen.All() {
		told = append(told, e.Level.String()+" "+e.ContextMap()["age"].(time.Duration).String())
	}
	if want := []string{"warn 1s", "info 9s", "warn 1s"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}
