import assert from "node:assert/strict";
import test from "node:test";
import { World } from "./browser.mjs";

const lifetimes = (w) => w.renewals.map((t) => Math.round((t - 1_800_000_000_000) / 1000));
const gaps = (times) => times.slice(1).map((t, i) => t - times[i]);

test("one tab renews once per lifetime, inside the window, with jitter", async () => {
  const seconds = new Set();
  for (let seed = 1; seed <= 20; seed++) {
    const w = new World({ seed });
    const tab = await w.open();
    await w.advance(594);
    assert.equal(w.requests.length, 1, "nothing but the first look before the window");
    await w.advance(3 * 610);
    const at = lifetimes(w);
    assert.equal(at.length, 3 + 1);
    assert.ok(at[0] >= 600 && at[0] <= 606, `first at ${at[0]}`);
    assert.ok(gaps(at).every((g) => g >= 599 && g <= 607), String(gaps(at)));
    assert.equal(tab.count("renewed"), at.length);
    assert.equal(tab.count("expiring") + tab.count("expired") + tab.count("error"), 0);
    seconds.add(w.renewals[0]);
  }
  assert.ok(seconds.size > 10, "no jitter");
});

for (const without of [[], ["locks"], ["channel"], ["locks", "channel"]]) {
  test(`two tabs renew once per lifetime over three lifetimes${without.length ? ", without " + without.join(" and ") : ""}`, async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const w = new World({ seed });
      const a = await w.open({ without });
      const b = await w.open({ without });
      await w.advance(3 * 608);
      assert.equal(w.posts(), 3, `seed ${seed}: ${lifetimes(w)}`);
      assert.equal(w.renewals.length, 3);
      for (const tab of [a, b]) {
        assert.equal(tab.count("renewed"), 3, `seed ${seed}`);
        assert.equal(tab.count("error") + tab.count("expired") + tab.count("expiring"), 0);
        assert.equal(tab.session.state().expires_at, w.session.expires);
      }
    }
  });
}

test("the renewal of one tab is told to the other", async () => {
  const w = new World();
  const a = await w.open(), b = await w.open();
  await w.advance(607);
  assert.deepEqual([a, b].map((t) => t.last("renewed").by).sort(), ["self", "sibling"]);
  assert.equal(w.requests.filter((r) => r.at > 1_800_000_010_000).length, 2, "one look and one renewal, of one tab");
});

test("ten tabs that wake at once renew once", async () => {
  for (const without of [[], ["locks"]]) {
    const w = new World();
    for (let i = 0; i < 10; i++) await w.open({ without });
    await w.advance(5);
    w.sleep(800);
    for (const tab of w.tabs) tab.show(), tab.online();
    await w.advance(30);
    assert.equal(w.posts(), 1, without.join());
    assert.ok(w.tabs.every((t) => t.session.state().expires_at === w.session.expires));
  }
});

test("without locks and storage everybody renews, and the session goes on", async () => {
  const w = new World();
  const without = ["locks", "storage", "channel"];
  const a = await w.open({ without }), b = await w.open({ without });
  await w.advance(2000);
  assert.ok(w.renewals.length >= 3);
  assert.equal(a.count("expired") + b.count("expired"), 0);
});

test("a renewal by a proxied response is adopted", async () => {
  const w = new World();
  const tab = await w.open();
  await w.advance(590);
  w.session.expires = w.seconds() + 900; // the gate has set new cookies
  await w.advance(100);
  assert.equal(w.posts(), 0);
  assert.equal(tab.last("renewed").by, "server");
  await w.advance(510);
  assert.equal(w.posts(), 1);
});

test("a tab that dies while it renews does not hold up the others", async () => {
  for (const without of [[], ["locks"]]) {
    const w = new World();
    const a = await w.open({ without }), b = await w.open({ without });
    await w.advance(10);
    w.latency = 4000;
    let first;
    while (!first) {
      await w.advance(0.5);
      first = w.requests.slice(2).at(0)?.tab;
    }
    first.close();
    w.latency = 40;
    await w.advance(60);
    const other = first === a ? b : a;
    assert.equal(other.session.state().expires_at, w.session.expires, without.join());
    assert.equal(w.renewals.length, 1);
  }
});

test("a lifetime shorter than the window is renewed once per lifetime, not in a loop", async () => {
  for (const lifetime of [3, 10, 60, 299, 300]) {
    const w = new World({ lifetime });
    const a = await w.open();
    await w.open();
    await w.advance(lifetime * 10);
    // two thirds of each lifetime pass before the next renewal; the clocks agree to a second, no better
    assert.ok(w.posts() <= 15 && w.posts() >= (lifetime < 10 ? 7 : 10), `lifetime ${lifetime}: ${w.posts()} renewals`);
    assert.equal(a.count("expired") + a.count("expiring") + a.count("error"), 0);
    assert.ok(w.requests.length <= 2 * w.posts() + 4, `lifetime ${lifetime}: ${w.requests.length} requests`);
  }
});

test("a page opened inside the window renews before the end", async () => {
  for (const left of [299, 100, 10, 1]) {
    const w = new World({ left });
    await w.open();
    await w.advance(left + 1);
    assert.equal(w.posts(), 1, `${left} s left`);
  }
});

test("a clock that is an hour wrong, either way, changes nothing", async () => {
  for (const skew of [3600e3, -3600e3, 12345]) {
    const w = new World({ skew });
    const a = await w.open();
    await w.open();
    assert.equal(w.posts(), 0);
    await w.advance(599);
    assert.equal(w.posts(), 0, `skew ${skew}`);
    assert.equal(a.session.state().signed_in, true);
    assert.equal(a.session.state().expires_in, 301);
    await w.advance(3 * 608 - 599);
    assert.equal(w.posts(), 3, `skew ${skew}`);
  }
});

test("a clock that is set while the page is open is noticed", async () => {
  for (const jump of [3600e3, -3600e3]) {
    const w = new World();
    const tab = await w.open();
    await w.advance(100);
    w.skew = jump;
    await w.advance(450);
    assert.equal(w.posts(), 0, `jump ${jump}`);
    await w.advance(60);
    assert.equal(w.posts(), 1, `jump ${jump}`);
    assert.equal(tab.count("expired") + tab.count("error"), 0);
  }
});

test("a laptop that slept renews at once when it is shown", async () => {
  for (const asleep of [700, 880, 5000]) { // inside the window, at the end, long after
    const w = new World();
    const tab = await w.open();
    await w.advance(100);
    w.sleep(asleep);
    tab.show();
    await w.advance(8);
    assert.equal(w.renewals.length, 1, `asleep for ${asleep} s`);
    assert.equal(tab.session.state().signed_in, true);
    assert.equal(tab.count("expired"), 0);
  }
});

test("a laptop that slept notices within a check even if nothing tells the page", async () => {
  const w = new World();
  const tab = await w.open();
  await w.advance(100);
  w.sleep(5000);
  assert.equal(tab.session.state().signed_in, false);
  await w.advance(61);
  assert.equal(w.renewals.length, 1);
  assert.equal(tab.session.state().signed_in, true);
});

test("timers that ran on while the laptop slept do the same", async () => {
  const w = new World();
  const tab = await w.open();
  await w.advance(100);
  w.time += 5000e3;
  await w.advance(5);
  assert.equal(w.renewals.length, 1);
  assert.equal(tab.session.state().signed_in, true);
});

test("a page that becomes visible asks when its answer is older than a check, not before", async () => {
  const w = new World();
  const tab = await w.open();
  await w.advance(30);
  tab.hide(), tab.show();
  await w.advance(1);
  assert.equal(w.requests.length, 1);
  await w.advance(60);
  tab.hide();
  await w.advance(1);
  assert.equal(w.requests.length, 1);
  tab.show();
  await w.advance(1);
  assert.equal(w.requests.length, 2);
  w.session.over = true; // signed out elsewhere
  await w.advance(90);
  tab.hide(), tab.show();
  await w.advance(1);
  assert.equal(tab.count("expired"), 1);
});

test("network errors back off exponentially with jitter", async () => {
  const w = new World();
  const tab = await w.open();
  await w.advance(590);
  w.answer = () => "offline";
  await w.advance(3600);
  const at = w.requests.slice(1).map((r) => r.at / 1000);
  const g = gaps(at);
  for (let i = 0; i < g.length; i++) {
    const full = Math.min(2 * 2 ** i, 300);
    assert.ok(g[i] >= full / 2 - 0.1 && g[i] <= full + 0.2, `pause ${i}: ${g[i]} of ${full}`);
  }
  assert.ok(new Set(g.slice(8).map(Math.round)).size > 3, "no jitter");
  assert.ok(at.length >= 15 && at.length <= 32, `${at.length} requests in an hour`);
  assert.equal(tab.count("error"), at.length);
  assert.equal(tab.count("expiring"), 1);
  assert.equal(tab.count("expired"), 0, "nobody has said that it is over");
  assert.equal(tab.session.state().signed_in, false);
  assert.equal(tab.last("error").code, 0);
  w.answer = null;
  await w.advance(301);
  assert.equal(w.renewals.length, 1);
  assert.equal(tab.session.state().signed_in, true);
  assert.equal(tab.count("renewed"), 1);
  w.answer = () => "offline";
  const errors = tab.count("error");
  await w.advance(620);
  assert.ok(tab.events.filter(([n]) => n === "error")[errors][1].retry_in <= 2, "the back-off begins anew");
  assert.equal(tab.count("expiring"), 2, "warned of the new end too");
  assert.ok(tab.last("error").retry_in <= 300);
});

test("online ends the back-off after network errors", async () => {
  const w = new World();
  const tab = await w.open();
  await w.advance(590);
  w.answer = () => "offline";
  await w.advance(1000);
  w.answer = null;
  tab.online();
  await w.advance(2.5);
  assert.equal(w.renewals.length, 1);
});

test("503 backs off and Retry-After is honoured", async () => {
  for (const [header, least, most] of [["120", 120, 126], ["1", 1, 2.2], [undefined, 1, 2.2], ["Fri, 15 Jan 2027 08:15:00 GMT", 200, 310], ["soon", 1, 2.2], ["99999999", 3600, 3606]]) {
    const w = new World();
    const tab = await w.open();
    await w.advance(590);
    w.answer = (method) => method === "POST" ? [503, { error: "store_unavailable" }, { "Retry-After": header }] : undefined;
    while (w.posts() < 2) {
      await w.advance(1);
      if (w.posts() === 1 && w.requests.at(-1).at < w.time - 5000) tab.show(), tab.online(); // do not shorten it
    }
    const [first, second] = w.requests.filter((r) => r.method === "POST").map((r) => r.at / 1000);
    assert.ok(second - first >= least && second - first <= most, `Retry-After ${header}: ${second - first}`);
    assert.equal(tab.events.find(([n]) => n === "error")[1].code, 503);
    assert.equal(tab.count("expiring"), 1);
    w.answer = null;
    await w.advance(3700);
    assert.equal(tab.session.state().signed_in, true);
  }
});

test("a first look that fails is repeated", async () => {
  for (const failure of ["offline", [500, "x"], [200, "<html>"], [200, { signed_in: true }], [200, null], [404, {}]]) {
    const w = new World();
    w.answer = () => failure;
    const tab = await w.open();
    await w.advance(20);
    assert.ok(w.requests.length >= 3 && w.requests.length <= 6, JSON.stringify(failure));
    assert.equal(tab.session.state().status, "unknown");
    assert.equal(tab.count("expired"), 0);
    w.answer = null;
    await w.advance(40);
    assert.equal(tab.session.state().status, "signed_in");
  }
});

test("a request that is never answered is given up", async () => {
  const w = new World();
  const tab = await w.open();
  await w.advance(590);
  w.answer = () => "hang";
  await w.advance(30);
  assert.equal(tab.count("error"), 1);
  w.answer = null;
  await w.advance(20);
  assert.equal(w.renewals.length, 1);
});

test("401 stops the script in every tab", async () => {
  const w = new World();
  const a = await w.open(), b = await w.open();
  const heard = [];
  a.session.on("expired", (detail) => heard.push(detail));
  await w.advance(590);
  w.session.over = true;
  await w.advance(20);
  assert.equal(w.posts(), 1);
  for (const tab of [a, b]) {
    assert.equal(tab.count("expired"), 1);
    assert.equal(tab.session.state().status, "expired");
    assert.equal(tab.session.state().signed_in, false);
  }
  assert.equal(heard[0].status, "expired");
  assert.equal(heard[0].subject, "alice");
  const before = w.requests.length;
  a.online();
  await w.advance(7200);
  assert.equal(w.requests.length, before, "still asking");
  a.hide(), a.show();
  await w.advance(7200);
  assert.equal(w.requests.length, before + 1, "one look at what is known when a person comes back");
  assert.equal(w.posts(), 1);
});

test("after 401 only a new sign-in counts, whatever cookies are left", async () => {
  const w = new World({ renewable: true });
  const tab = await w.open();
  await w.advance(590);
  w.session.over = true;
  await w.advance(20);
  assert.equal(w.posts(), 1);
  await w.advance(100);
  tab.hide(), tab.show();
  await w.advance(100);
  assert.equal(w.posts(), 1);
  assert.equal(tab.count("expired"), 1);
  w.session = { subject: "alice", expires: w.seconds() + 900 };
  tab.hide(), tab.show();
  await w.advance(1);
  assert.equal(tab.session.state().status, "signed_in");
});

test("two tabs that take the lease at once do not both have it", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const w = new World({ seed });
    const a = await w.open({ without: ["locks"] }), b = await w.open({ without: ["locks"] });
    await w.advance(1);
    w.window = 900;
    const both = [a.session.refresh(), b.session.refresh()];
    await w.advance(20);
    for (const s of await Promise.all(both)) assert.equal(s.expires_at, w.session.expires);
    assert.equal(w.posts(), 1, `seed ${seed}`);
  }
});

test("a lease that nobody can have written is ignored", async () => {
  for (const value of ["x " + 9e15, "x", "", "x NaN", "x 1"]) {
    const w = new World();
    const tab = await w.open({ without: ["locks"] });
    tab.window.localStorage.setItem("caddyauth-refresh", value);
    await w.advance(607);
    assert.equal(w.posts(), 1, value);
  }
});

test("the news of another tab ends the back-off", async () => {
  const w = new World();
  const a = await w.open();
  await w.advance(590);
  w.answer = () => [503, {}, { "Retry-After": "3600" }];
  await w.advance(20);
  assert.equal(a.count("error"), 1);
  w.answer = null;
  const b = await w.open();
  await w.advance(250);
  b.close();
  assert.equal(w.renewals.length, 1);
  await w.advance(610);
  assert.equal(w.renewals.length, 2);
});

test("a new sign-in in another tab wakes one that had stopped", async () => {
  const w = new World();
  const a = await w.open();
  await w.advance(590);
  w.session.over = true;
  await w.advance(20);
  assert.equal(a.session.state().status, "expired");
  w.session = { subject: "bob", expires: w.seconds() + 900 };
  await w.open();
  await w.advance(1);
  assert.equal(a.session.state().status, "signed_in");
  assert.equal(a.session.state().subject, "bob");
  assert.equal(a.last("renewed").by, "sibling");
  await w.advance(606);
  assert.equal(w.renewals.length, 1);
});

test("who is not signed in is left in peace", async () => {
  for (const renewable of [undefined, false]) {
    const w = new World({ signedIn: false, renewable });
    const tab = await w.open();
    await w.advance(7200);
    assert.equal(w.requests.length, 1);
    assert.equal(tab.session.state().status, "signed_out");
    assert.equal(tab.events.length, 0);
    w.session = { subject: "alice", expires: w.seconds() + 900 };
    tab.hide(), tab.show();
    await w.advance(1);
    assert.equal(tab.session.state().status, "signed_in");
  }
});

test("an access token that ended before the page was opened is renewed where the server says it can be", async () => {
  const w = new World({ left: -100, renewable: true });
  const tab = await w.open();
  await w.advance(1);
  assert.equal(w.posts(), 1);
  assert.equal(tab.session.state().signed_in, true);
  const over = new World({ left: -100, renewable: true });
  over.session.over = true;
  const other = await over.open();
  await over.advance(600);
  assert.equal(over.posts(), 1);
  assert.equal(other.count("expired"), 1);
});

test("a session without a refresh cookie is over without a renewal", async () => {
  const w = new World({ renewable: true });
  const tab = await w.open();
  await w.advance(590);
  w.session = null;
  w.renewable = false;
  await w.advance(20);
  assert.equal(w.posts(), 0);
  assert.equal(tab.count("expired"), 1);
});

test("a session that may not last longer is not asked for in a loop", async () => {
  const w = new World();
  w.session.ends = w.session.expires;
  const a = await w.open();
  await w.open();
  await w.advance(899);
  assert.ok(w.posts() >= 2 && w.posts() <= 20, `${w.posts()} posts`);
  assert.equal(a.count("expiring"), 1);
  await w.advance(12);
  assert.equal(a.count("expired"), 1);
  const before = w.requests.length;
  await w.advance(3600);
  assert.equal(w.requests.length, before);
});

test("a server that never renews is not asked in a loop", async () => {
  const w = new World();
  await w.open();
  w.answer = (method) => (method === "POST" ? [200, w.describe(true)] : undefined);
  await w.advance(895);
  assert.ok(w.posts() >= 2 && w.posts() <= 10, `${w.posts()} posts`);
});

test("an answer that was overtaken by a renewal of another tab is dropped", async () => {
  const w = new World();
  const a = await w.open(), b = await w.open();
  await w.advance(603);
  w.session.expires = w.seconds() + 250; // both are inside the window
  const old = w.describe(true);
  await w.advance(100);
  const renewed = a.count("renewed");
  w.latency = 4000;
  a.hide(), a.show(); // asks, slowly
  w.answer = (method) => (method === "GET" ? [200, { ...old, server_time: w.seconds() }] : undefined);
  await w.advance(1);
  w.session.expires = w.seconds() + 900;
  b.channel.postMessage({ answer: { ...w.describe(true), sent: w.time, at: w.time } });
  await w.advance(5);
  assert.equal(a.session.state().expires_at, w.session.expires);
  assert.equal(a.count("renewed"), renewed + 1);
});

test("messages that are not ours change nothing", async () => {
  const w = new World();
  const a = await w.open(), b = await w.open();
  await w.advance(1);
  for (const data of [null, 1, "x", {}, { answer: {} }, { answer: null }, { answer: { signed_in: true, at: 1e15 } }, { over: "x" }, { over: 1 }]) b.channel.postMessage(data);
  await w.advance(1);
  assert.equal(a.events.length, 0);
  assert.equal(a.session.state().status, "signed_in");
});

test("refresh() renews now where the server does, waits for the others, and fails aloud", async () => {
  const w = new World();
  const a = await w.open(), b = await w.open();
  await w.advance(1);
  const done = a.session.refresh();
  await w.advance(1);
  assert.equal((await done).expires_at, w.session.expires);
  assert.equal(w.posts(), 1);
  assert.equal(w.renewals.length, 0, "outside the window");
  assert.equal(a.count("expiring"), 0);

  w.window = 900;
  const both = [a.session.refresh(), b.session.refresh(), a.session.refresh()];
  await w.advance(20);
  for (const s of await Promise.all(both)) assert.equal(s.expires_at, w.session.expires);

  w.answer = () => "offline";
  const fails = assert.rejects(a.session.refresh(), /offline/);
  await w.advance(1);
  await fails;
  w.answer = null;
  w.session.over = true;
  const over = a.session.refresh();
  await w.advance(1);
  assert.equal((await over).status, "expired");
});

test("stop() ends requests, events and timers", async () => {
  const w = new World();
  const a = await w.open();
  await w.advance(1);
  a.session.stop();
  assert.ok(a.channel.closed);
  a.show(), a.online();
  await w.advance(3600);
  assert.equal(w.requests.length, 1);
  assert.equal(w.timers.length, 0);
  assert.equal(a.session.state().status, "stopped");
  await assert.rejects(a.session.refresh(), /stopped/);
  a.session.stop();

  const b = await w.open();
  b.session.stop(); // in the middle of the first look
  await w.advance(3600);
  assert.equal(b.session.state().status, "stopped");
  assert.equal(b.events.length, 0);
});

test("on() returns the function that ends it", async () => {
  const w = new World();
  const tab = await w.open();
  let n = 0;
  const off = tab.session.on("renewed", (d) => (n += d.by === "self"));
  await w.advance(607);
  off();
  await w.advance(607);
  assert.equal(n, 1);
  assert.equal(tab.count("renewed"), 2);
});

test("the module is the same session", async () => {
  const w = new World();
  const tab = await w.open({ module: true, src: "https://app.example.com/auth/session.mjs?v=1" });
  await w.advance(607);
  assert.equal(tab.exports.session, tab.session);
  assert.equal(tab.exports.default, tab.session);
  assert.equal(w.renewals.length, 1);
  await tab.load(false); // and the classic script in the same page
  await w.advance(1);
  assert.equal(tab.exports.session, tab.session);
  assert.equal(w.requests.length, 3);
});

test("the addresses lie beside the script", async () => {
  for (const [src, path] of [["https://app.example.com/auth/session.js?v=1#x", "/auth/session"], ["https://app.example.com/session.js", "/session"], ["", "/session"]]) {
    const w = new World();
    await w.open({ src });
    await w.advance(1);
    assert.equal(w.requests[0].path, path);
  }
});

test("a script of another origin does nothing but say so", async () => {
  const w = new World();
  const tab = await w.open({ src: "https://auth.example.com/auth/session.js" });
  await w.advance(3600);
  assert.equal(w.requests.length, 0);
  assert.match(tab.last("error").error, /https:\/\/auth\.example\.com, not from this site/);
  assert.equal(tab.session.state().status, "stopped");
});
