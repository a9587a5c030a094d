// Keeps the browser session of a page alive. It sees no token: the cookies are HttpOnly, and all it knows
// is what GET session says beside its own address. Events on window: caddyauth:renewed, caddyauth:expiring,
// caddyauth:expired and caddyauth:error.
function caddyauthSession(src) {
  const shared = (window.caddyauth = window.caddyauth || {});
  if (shared.session) return shared.session; // loaded twice

  const NAME = "caddyauth-refresh"; // of the lock, the lease and the channel
  const SPREAD = 5000; // the jitter of a renewal; like all times here in milliseconds
  const PATIENCE = 10000; // with one request
  const LEASE = 25000; // longer than two requests
  const FIRST_RETRY = 2000;
  const LAST_RETRY = 300000;
  const LONGEST_RETRY_AFTER = 3600000;

  const base = new URL(".", src || location.origin + "/");
  const me = Math.random().toString(36).slice(2);
  const channel = window.BroadcastChannel ? new BroadcastChannel(NAME) : null;

  let status = "unknown"; // then signed_in, signed_out, expired; stopped at last
  let subject = "";
  let expires = 0; // end of the access token, by the server's clock
  let lifetime = 0; // what was left of it when this end was first seen
  let due = 0; // when to renew it, by the server's clock
  let refreshWindow = 300000;
  let every = 60000;
  let offset = NaN; // the server's clock minus ours
  let seen = -Infinity; // when the server said all this, by our clock
  let notBefore = 0; // no request of ours before, by our clock
  let failures = 0; // in a row
  let offline = false; // the last one brought no answer at all
  let warned = false; // of the end in `expires`
  let busy = null; // the promise of what is being done
  let timer = 0;

  const clock = () => Date.now() + offset;
  // A lifetime shorter than the window would mean renewing all the time.
  const size = () => Math.min(refreshWindow, lifetime / 3);
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  function state() {
    const on = status === "signed_in";
    return {
      status,
      signed_in: on && clock() < expires,
      subject,
      expires_at: on ? expires / 1000 : 0,
      expires_in: on ? Math.max(0, Math.floor((expires - clock()) / 1000)) : 0,
    };
  }

  function fire(name, more) {
    window.dispatchEvent(new CustomEvent("caddyauth:" + name, { detail: Object.assign(state(), more) }));
  }

  function tell(message) {
    if (channel && status !== "stopped") channel.postMessage(message);
  }

  // ask returns the server's answer; null when it says that the session is over.
  async function ask(method, path) {
    const sent = Date.now();
    const patience = new AbortController();
    const limit = setTimeout(() => patience.abort(), PATIENCE);
    try {
      const r = await fetch(new URL(path, base).href, {
        method, mode: "same-origin", credentials: "same-origin", cache: "no-store", redirect: "error",
        headers: { Accept: "application/json" }, signal: patience.signal,
      });
      if (r.status === 401) return null;
      if (!r.ok) throw refusal(r);
      const a = await r.json();
      if (!sound(a)) throw Object.assign(new Error("unexpected answer"), { status: r.status });
      return Object.assign(a, { sent, at: Date.now() });
    } finally {
      clearTimeout(limit);
    }
  }

  function refusal(r) {
    const text = r.headers.get("Retry-After");
    const wait = /^\d+$/.test(text) ? text * 1000 : Date.parse(text) - Date.now();
    return Object.assign(new Error("status " + r.status), { status: r.status, wait: Math.min(wait || 0, LONGEST_RETRY_AFTER) });
  }

  function sound(a) {
    if (!a || typeof a.signed_in !== "boolean") return false;
    return [a.server_time, a.refresh_window, a.check_every, a.signed_in ? a.expires_at : 0].every(Number.isFinite);
  }

  // align keeps the clocks together. An answer says no more than that the offset lies between two values: its
  // time has no fractions, and it was on its way. The least never puts us ahead of the server, and stays until
  // an answer contradicts it, as when a clock is set.
  function align(time, { sent, at }) {
    const least = time - at;
    const most = time + 1000 - sent;
    if (!(offset >= least && offset <= most)) offset = least;
  }

  // adopt takes over what the server said to this tab or, a moment ago, to another one. What was merely asked
  // before the newest news came is old.
  function adopt(a, by) {
    if (by === "server" && a.sent < seen && seen <= a.at) return;
    align(a.server_time * 1000, a);
    seen = a.at;
    refreshWindow = a.refresh_window * 1000;
    every = Math.max(1, a.check_every) * 1000;
    if (!a.signed_in) return;
    const end = a.expires_at * 1000;
    if (status === "signed_in" && end === expires && a.subject === subject) return;
    const news = status !== "unknown";
    status = "signed_in";
    subject = a.subject;
    expires = end;
    lifetime = Math.max(0, end - clock());
    warned = false;
    const opens = Math.max(end - size(), clock());
    due = opens + Math.random() * Math.min(SPREAD, Math.max(0, end - opens) / 4);
    if (by !== "sibling") tell({ answer: a });
    if (news) fire("renewed", { by });
  }

  function over() {
    status = "expired";
    tell({ over: Date.now() });
    fire("expired");
  }

  function heard(event) {
    const { answer, over: ended } = event.data || {};
    if (status === "stopped") return;
    if (ended > seen && status === "signed_in") {
      status = "expired";
      fire("expired");
    } else if (sound(answer) && answer.signed_in && answer.at > seen && answer.sent <= answer.at) {
      adopt(answer, "sibling");
      failures = notBefore = 0;
    }
    if (!busy) plan();
  }

  // look asks what is known. An access token that has ended may still be renewable; the server says so where
  // this page has not seen it. After a refusal only a new sign-in counts.
  async function look() {
    const a = await ask("GET", "session");
    if (status === "stopped") return;
    if (a) adopt(a, "server");
    if (status === "expired" || (a && a.signed_in)) return;
    if (a && (status === "signed_in" || a.renewable)) return renew(false);
    if (status === "signed_in") return over();
    status = "signed_out";
  }

  // renew renews, alone among the tabs, unless another one or a proxied response has done so meanwhile.
  async function renew(forced) {
    const known = expires;
    const task = () => renewAlone(forced, known);
    while (!(await exclusively(task)) && status !== "stopped") {
      const wait = 1000 + Math.random() * 2000; // the other tab will tell; if it dies it is our turn
      if (!forced) {
        notBefore = Date.now() + wait;
        return;
      }
      await sleep(wait);
    }
  }

  async function renewAlone(forced, known) {
    const now = await ask("GET", "session");
    if (status === "stopped") return;
    if (!now || (!now.signed_in && now.renewable === false)) return over();
    adopt(now, "server");
    if (now.signed_in && (forced ? expires > known : clock() < due)) return;
    const a = await ask("POST", "session/refresh");
    if (status === "stopped") return;
    if (!a || !a.signed_in) return over();
    const gained = status !== "signed_in" || a.expires_at * 1000 > expires;
    adopt(a, "self");
    if (gained || clock() < due) return;
    // Too early for the server, or the session may not last longer: asking all the time changes nothing.
    notBefore = Date.now() + Math.max((expires - clock()) / 2, SPREAD);
    warn();
  }

  async function exclusively(task) {
    if (navigator.locks) {
      return navigator.locks.request(NAME, { ifAvailable: true }, (lock) => (lock ? task().then(() => true) : false));
    }
    if (!(await lease())) return false;
    try {
      await task();
    } finally {
      release();
    }
    return true;
  }

  // lease stands in for a lock where there are none (http, old browsers): of those who write at once, the
  // last one has it. Without storage everybody has it, and the server gives all the same successor.
  async function lease() {
    try {
      const until = (localStorage.getItem(NAME) || "").split(" ")[1];
      if (until > Date.now() && until <= Date.now() + LEASE) return false;
      localStorage.setItem(NAME, me + " " + (Date.now() + LEASE));
      await sleep(50 + Math.random() * 100);
      return (localStorage.getItem(NAME) || "").startsWith(me + " ");
    } catch (e) {
      return true;
    }
  }

  function release() {
    try {
      if ((localStorage.getItem(NAME) || "").startsWith(me + " ")) localStorage.removeItem(NAME);
    } catch (e) {
      // There was no lease either.
    }
  }

  function failed(error) {
    if (status === "stopped") return;
    offline = !error.status;
    const wait = Math.min(FIRST_RETRY * 2 ** failures++, LAST_RETRY) * (0.5 + Math.random() / 2);
    const asked = Math.max(0, error.wait || 0);
    const delay = Math.max(wait, asked + Math.random() * Math.min(asked / 10, SPREAD));
    notBefore = Date.now() + delay;
    fire("error", { error: error.message, code: error.status || 0, retry_in: Math.ceil(delay / 1000) });
    if (status === "signed_in" && clock() >= due) warn();
  }

  function warn() {
    if (!warned) fire("expiring");
    warned = true;
  }

  // run does one thing at a time and returns a promise that fails when the task does.
  function run(task) {
    clearTimeout(timer);
    const done = task().then(
      () => void (failures = 0),
      (error) => {
        failed(error);
        throw error;
      }
    );
    busy = done.catch(() => {}).then(() => {
      busy = null;
      plan();
    });
    return done;
  }

  // plan sets the alarm for the renewal, though never beyond the next check: timers stand still in a laptop
  // that sleeps.
  function plan() {
    clearTimeout(timer);
    if (status !== "signed_in" && status !== "unknown") return;
    const wait = Math.max(status === "signed_in" ? due - clock() : 0, notBefore - Date.now(), 0);
    const delay = Math.min(wait, every);
    const planned = Date.now() + delay;
    timer = setTimeout(() => check(planned), delay);
  }

  function check(planned) {
    if (busy || status === "stopped") return;
    if (Date.now() < planned - 1000) {
      notBefore = 0; // our clock was set back
      return void run(look).catch(() => {});
    }
    if (Date.now() < notBefore) return plan();
    if (status !== "signed_in") return void run(look).catch(() => {});
    if (clock() >= due) return void run(() => renew(false)).catch(() => {});
    plan();
  }

  // wake looks again when the page was out of sight for long; otherwise the last answer is good enough.
  function wake() {
    if (busy || document.visibilityState === "hidden") return;
    const stale = Math.abs(Date.now() - seen) >= every;
    if (stale && Date.now() >= notBefore) return void run(look).catch(() => {});
    plan();
  }

  // online comes to all tabs, and to all people of an office, at once.
  function online() {
    if (busy || status === "expired") return;
    if (offline) notBefore = 0;
    clearTimeout(timer);
    timer = setTimeout(() => check(Date.now()), Math.random() * 2000);
  }

  const listeners = [[document, "visibilitychange", wake], [window, "pageshow", wake], [window, "online", online]];

  shared.session = {
    // state says what is known now, without a request.
    state,

    // refresh renews now and returns the state afterwards; it fails when the server cannot be asked.
    async refresh() {
      while (busy) await busy;
      if (status === "stopped") throw new Error("stopped");
      await run(() => renew(true));
      return state();
    },

    // on calls the listener with the detail of each event of the name, such as "expired", and returns a
    // function that ends it.
    on(name, listener) {
      const hear = (event) => listener(event.detail);
      window.addEventListener("caddyauth:" + name, hear);
      return () => window.removeEventListener("caddyauth:" + name, hear);
    },

    // stop ends all of it for this page.
    stop() {
      status = "stopped";
      clearTimeout(timer);
      listeners.forEach(([target, name, f]) => target.removeEventListener(name, f));
      if (channel) channel.close();
    },
  };

  listeners.forEach(([target, name, f]) => target.addEventListener(name, f));
  if (channel) channel.onmessage = heard;
  if (base.origin === location.origin) {
    run(look).catch(() => {});
  } else {
    shared.session.stop(); // the cookies belong to the other host: there is nothing to keep alive here
    fire("error", { error: "session.js comes from " + base.origin + ", not from this site", code: 0, retry_in: 0 });
  }
  return shared.session;
}
