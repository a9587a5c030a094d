package auth

import (
	"errors"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/connections"
	"github.com/caddyauth/gateway/caddyauth/module/version"
)

// The counters live as long as the process and are registered anew with each configuration's
// registry.
var (
	decisionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_auth_decisions_total",
		Help: "Decisions of gates. The reason is `admitted` or a refusal's reason code.",
	}, []string{"gate", "audience", "reason"})
	loginsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_auth_logins_total",
		Help: "Sign-ins and sign-outs by kind and result.",
	}, []string{"kind", "result"})
	tokenRequestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_auth_token_requests_total",
		Help: "Requests to /token by grant type and result.",
	}, []string{"grant_type", "result"})
	issuedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_auth_tokens_issued_total",
		Help: "Tokens issued, by kind.",
	}, []string{"kind"})
)

// What the store is asked for, by the verb that asks.
var (
	storeSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "caddy_auth_store_seconds",
		Help:    "Time that the store took, by verb.",
		Buckets: []float64{.001, .0025, .01, .025, .1, .25, 1, 2.5, 10},
	}, []string{"verb"})
	storeErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_auth_store_errors_total",
		Help: "Failures of the store, by verb. What a verb refuses is none.",
	}, []string{"verb"})
)

// observeStore counts what the store was asked for.
func observeStore(verb string, took time.Duration, err error) {
	if err != nil {
		storeErrors.WithLabelValues(verb).Inc()
	}
	storeSeconds.WithLabelValues(verb).Observe(took.Seconds())
}

// refreshAlerts counts refresh tokens that somebody should look at.
var refreshAlerts = newRefreshAlerts()

func newRefreshAlerts() *prometheus.CounterVec {
	alerts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_auth_refresh_token_alerts_total",
		Help: "Refresh tokens that were presented again after they had been used up (`reused`), or that were never " +
			"made here (`future`).",
	}, []string{"verdict"})
	for _, verdict := range []session.Verdict{session.Reused, session.Future} {
		alerts.WithLabelValues(string(verdict)) // 0 from the beginning, so that the first one is an increase
	}
	return alerts
}

// buildInfo is 1, with what this binary was made of.
var buildInfo = newBuildInfo(version.Current())

func newBuildInfo(b version.Build) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "caddy_auth_build_info",
		Help:        "Always 1; the labels say which version of the gateway this is.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go, "caddy": b.Caddy},
	})
	info.Set(1)
	return info
}

// DecisionCounter counts the decisions of one gate.
type DecisionCounter struct {
	Admitted prometheus.Counter // the hot one is looked up once
	rest     *prometheus.CounterVec
}

// CountDecisions returns the counter of a gate.
func CountDecisions(gate, audience string) DecisionCounter {
	rest := decisionsTotal.MustCurryWith(prometheus.Labels{"gate": gate, "audience": audience})
	return DecisionCounter{Admitted: rest.WithLabelValues("admitted"), rest: rest}
}

// Refused counts a refusal.
func (c DecisionCounter) Refused(reason token.Reason) { c.rest.WithLabelValues(string(reason)).Inc() }

// registerMetrics registers the process's counters and this configuration's key ages.
func registerMetrics(registry *prometheus.Registry, a *App) error {
	if registry == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		decisionsTotal, loginsTotal, tokenRequestsTotal, issuedTotal, buildInfo, storeSeconds, storeErrors,
		refreshAlerts,
		connections.Refused, keyAges{a.keys, a.store},
	} {
		if err := registry.Register(c); err != nil {
			if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); !twice {
				return err
			}
		}
	}
	return nil
}

// keyAges computes what is known only when it is asked for: ages of keys and lists, and how many
// sessions live.
type keyAges struct {
	keys  *Keys
	store *pooledStore
}

var keyAgeDesc = prometheus.NewDesc("caddy_auth_key_age_seconds",
	"Age of each signing key whose making is known. State is `announced`, `active` or `retiring`.",
	[]string{"kid", "algorithm", "state"}, nil)

var staleDesc = prometheus.NewDesc("caddy_auth_revocation_list_age_seconds",
	"Time since the list of revocations was last read from the store; it grows while the store cannot be reached.",
	nil, nil)

var issuerKeysDesc = prometheus.NewDesc("caddy_auth_issuer_keys_age_seconds",
	"Time since the keys of a trusted issuer were last fetched; +Inf while they never were.", []string{"issuer"}, nil)

var liveDesc = prometheus.NewDesc("caddy_auth_live_sessions",
	"Sessions that have neither ended nor been revoked, by how they began; counted at most once a minute.",
	[]string{"kind"}, nil)

// Describe implements prometheus.Collector.
func (keyAges) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{keyAgeDesc, staleDesc, issuerKeysDesc, liveDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (k keyAges) Collect(ch chan<- prometheus.Metric) {
	if stale := k.store.watch.Stale(time.Now()); stale != math.MaxInt64 {
		ch <- prometheus.MustNewConstMetric(staleDesc, prometheus.GaugeValue, stale.Seconds())
	}
	for _, remote := range k.keys.remotes {
		age := math.Inf(1)
		if fetched := remote.Fetched(); !fetched.IsZero() {
			age = time.Since(fetched).Seconds()
		}
		ch <- prometheus.MustNewConstMetric(issuerKeysDesc, prometheus.GaugeValue, age, remote.Issuer)
	}
	for kind, n := range k.store.live.counts(k.store, time.Now()) {
		ch <- prometheus.MustNewConstMetric(liveDesc, prometheus.GaugeValue, float64(n), kind)
	}
	for _, key := range k.keys.infos() {
		if key.Created.IsZero() {
			continue
		}
		ch <- prometheus.MustNewConstMetric(keyAgeDesc, prometheus.GaugeValue, time.Since(key.Created).Seconds(),
			key.ID, key.Algorithm, string(key.State))
	}
}
