// A world in which browsers run session.js: one server, one browser with tabs, and a clock that moves only
// when it is told to. Nothing here waits for real time.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";

// Node.js 18, which Debian 12 has, keeps CustomEvent behind an option.
const CustomEvent = globalThis.CustomEvent ?? class extends Event {
  constructor(type, init) {
    super(type, init);
    this.detail = init?.detail ?? null;
  }
};

const dir = process.env.SESSION_SCRIPTS;
const scripts = Object.fromEntries(["session.js", "session.mjs"].map((n) => [n, readFileSync(join(dir, n), "utf8")]));

// random is a small generator with a seed, so that a failure can be repeated.
function generator(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    return seed / 4294967296;
  };
}

export class World {
  // Options: lifetime, window and every in seconds; skew of the computers' clock in ms; seed.
  constructor({ lifetime = 900, window = 300, every = 60, skew = 0, seed = 1, left = lifetime, signedIn = true, renewable } = {}) {
    Object.assign(this, { lifetime, window, every, skew, renewable });
    this.time = 1_800_000_000_000; // of the server
    this.timers = [];
    this.tabs = [];
    this.requests = []; // {at, tab, method, path}
    this.renewals = []; // when
    this.latency = 40;
    this.session = signedIn ? { subject: "alice", expires: this.seconds() + left, over: false } : null;
    this.answer = null; // replaces the server: (method, path) => [status, body, headers] | "offline" | "hang" | undefined
    this.held = false; // the lock
    this.queue = [];
    this.storage = []; // every write: {time, tab, key, value}
    this.random = generator(seed);
    this.ids = 0;
  }

  seconds() {
    return Math.floor(this.time / 1000);
  }

  at(time, tab, f) {
    const timer = { id: ++this.ids, time, tab, f };
    this.timers.push(timer);
    return timer.id;
  }

  // advance lets seconds pass, and everything happen that is due meanwhile.
  async advance(seconds) {
    const end = this.time + seconds * 1000;
    for (;;) {
      await new Promise(setImmediate); // promises first
      const next = this.timers.filter((t) => t.time <= end && !(t.tab && t.tab.frozen)).sort((a, b) => a.time - b.time || a.id - b.id)[0];
      if (!next) break;
      this.timers.splice(this.timers.indexOf(next), 1);
      this.time = Math.max(this.time, next.time);
      next.f();
    }
    this.time = end;
  }

  // sleep closes the lid: time passes, timers stand still.
  sleep(seconds) {
    this.time += seconds * 1000;
    for (const t of this.timers) t.time += seconds * 1000;
  }

  posts() {
    return this.requests.filter((r) => r.method === "POST").length;
  }

  serve(method, path) {
    const said = this.answer && this.answer(method, path);
    if (said) return said;
    const s = this.session;
    const living = s && !s.over && s.expires > this.seconds();
    if (method === "GET" && path === "/auth/session") return [200, this.describe(living)];
    if (method !== "POST" || path !== "/auth/session/refresh") return [404, { error: "not_found" }];
    if (!s || s.over) return [401, { error: "session_over" }];
    if (!living || s.expires - this.seconds() <= this.window) {
      s.expires = Math.min(this.seconds() + this.lifetime, s.ends || Infinity);
      if (s.expires <= this.seconds()) return [401, { error: "session_over" }];
      this.renewals.push(this.time);
    }
    return [200, this.describe(true)];
  }

  describe(living) {
    const a = { signed_in: Boolean(living), refresh_window: this.window, check_every: this.every, server_time: this.seconds() };
    if (living) Object.assign(a, { subject: this.session.subject, expires_at: this.session.expires });
    if (this.renewable !== undefined) a.renewable = this.renewable;
    return a;
  }

  // open opens a tab with the script in it. Without: locks, channel, storage may be left out.
  async open({ src = "https://app.example.com/auth/session.js", without = [], module = false } = {}) {
    const tab = new Tab(this, src, without);
    this.tabs.push(tab);
    await tab.load(module);
    return tab;
  }
}

class Tab {
  constructor(world, src, without) {
    this.world = world;
    this.src = src;
    this.frozen = false;
    this.events = []; // [name, detail]
    this.window = this.globals(without);
    vm.createContext(this.window);
  }

  globals(without) {
    const tab = this, { world } = this;
    const now = () => world.time + world.skew;
    const document = Object.assign(new EventTarget(), { currentScript: { src: this.src }, visibilityState: "visible" });
    const w = {
      document, URL, AbortController, CustomEvent,
      location: { origin: "https://app.example.com" },
      navigator: without.includes("locks") ? {} : { locks: new Locks(world) },
      Date: { now, parse: Date.parse },
      Math: Object.create(Math, Object.fromEntries(Object.getOwnPropertyNames(Math).map((n) => [n, { value: n === "random" ? () => world.random() : Math[n] }]))),
      setTimeout: (f, ms) => world.at(world.time + Math.max(0, Number(ms) || 0), tab, f),
      clearTimeout: (id) => void (world.timers = world.timers.filter((t) => t.id !== id)),
      fetch: (url, init) => this.fetch(url, init),
    };
    w.localStorage = {
      getItem: (k) => (without.includes("storage") ? refuse() : this.stored(k)),
      setItem: (key, v) => void world.storage.push({ time: world.time, tab, key, value: String(v) }),
      removeItem: (key) => void world.storage.push({ time: world.time, tab, key, value: null }),
    };
    if (!without.includes("channel")) w.BroadcastChannel = channelOf(world, tab);
    const events = new EventTarget();
    for (const name of ["addEventListener", "removeEventListener"]) w[name] = events[name].bind(events);
    w.dispatchEvent = (event) => {
      if (event.type.startsWith("caddyauth:")) tab.events.push([event.type.slice(10), event.detail]);
      return events.dispatchEvent(event);
    };
    return (w.window = w);
  }

  // stored reads as browsers with a process for each tab do: others' writes are seen a little later.
  stored(key) {
    const { world } = this;
    return world.storage.findLast((w) => w.key === key && (w.tab === this || w.time + 20 <= world.time))?.value ?? null;
  }

  async load(module) {
    if (!module) {
      vm.runInContext(scripts["session.js"], this.window, { filename: "session.js" });
      return;
    }
    const text = new vm.SourceTextModule(scripts["session.mjs"], {
      context: this.window, identifier: "session.mjs",
      initializeImportMeta: (meta) => void (meta.url = this.src),
    });
    await text.link(() => refuse());
    await text.evaluate();
    this.exports = text.namespace;
  }

  fetch(url, { method, mode, credentials, cache, redirect, signal, body }) {
    const { world } = this;
    const { origin, pathname } = new URL(url);
    for (const [got, want] of [[origin, "https://app.example.com"], [mode, "same-origin"], [credentials, "same-origin"], [cache, "no-store"], [redirect, "error"], [body, undefined]]) {
      if (got !== want) throw new Error("a request with " + got + " instead of " + want);
    }
    world.requests.push({ at: world.time, tab: this, method, path: pathname });
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("aborted")));
      world.at(world.time + world.latency / 2, null, () => {
        const said = world.serve(method, pathname);
        if (said === "hang") return;
        world.at(world.time + world.latency / 2, this, () => (said === "offline" ? reject(new TypeError("offline")) : resolve(response(said))));
      });
    });
  }

  get session() {
    return this.window.caddyauth.session;
  }

  // count returns how often an event was fired.
  count(name) {
    return this.events.filter(([n]) => n === name).length;
  }

  last(name) {
    return this.events.filter(([n]) => n === name).at(-1)?.[1];
  }

  hide() {
    this.window.document.visibilityState = "hidden";
    this.window.document.dispatchEvent(new Event("visibilitychange"));
  }

  show() {
    this.window.document.visibilityState = "visible";
    this.window.document.dispatchEvent(new Event("visibilitychange"));
  }

  online() {
    this.window.dispatchEvent(new Event("online"));
  }

  // close takes the tab away in the middle of whatever it does.
  close() {
    const { world } = this;
    world.timers = world.timers.filter((t) => t.tab !== this);
    world.tabs = world.tabs.filter((t) => t !== this);
    this.frozen = true;
    if (world.held === this.window.navigator.locks) world.held = false;
  }
}

function response([status, body, headers = {}]) {
  return {
    status, ok: status >= 200 && status < 300,
    headers: { get: (name) => headers[name] ?? null },
    json: async () => JSON.parse(typeof body === "string" ? body : JSON.stringify(body)),
  };
}

function refuse() {
  throw new Error("not here");
}

class Locks {
  constructor(world) {
    this.world = world;
  }

  async request(name, options, f) {
    if (name !== "caddyauth-refresh" || !options.ifAvailable) throw new Error("an unexpected lock");
    if (this.world.held) return f(null);
    this.world.held = this;
    try {
      return await f({ name });
    } finally {
      if (this.world.held === this) this.world.held = false;
    }
  }
}

function channelOf(world, tab) {
  return class {
    constructor(name) {
      this.name = name;
      tab.channel = this;
    }

    postMessage(data) {
      if (this.closed) throw new Error("the channel is closed");
      for (const other of world.tabs) {
        const c = other.channel;
        if (other === tab || !c || c.name !== this.name) continue;
        const copy = structuredClone(data);
        world.at(world.time + 1, other, () => c.closed || c.onmessage?.({ data: copy }));
      }
    }

    close() {
      this.closed = true;
    }
  };
}
