// A person with a browser: it keeps cookies, follows redirects, and fills in the forms of the gateway.
// What runs here is told by the environment: CLIENT_TEST holds addresses and secrets as JSON.

export const test = JSON.parse(process.env.CLIENT_TEST);

/** Prints the result of a step, or why it failed. The test compares it with what it expects. */
export async function step(name, run) {
  let line;
  try {
    line = { step: name, result: await run() };
  } catch (problem) {
    line = { step: name, problem: explain(problem) };
  }
  console.log(JSON.stringify(line));
  return line.result;
}

/** An error with its causes, and with what the server answered. */
function explain(problem) {
  const parts = [];
  for (let at = problem; at && parts.length < 5; at = at.cause) {
    parts.push([at.code, at.error, at.error_description, at.message ?? JSON.stringify(at)].filter(Boolean).join(' '));
  }
  return parts.join(' < ').slice(0, 600);
}

/** The key of a client for private_key_jwt. */
export async function importKey(jwk) {
  const algorithm = { name: 'ECDSA', namedCurve: jwk.crv };
  return { key: await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign']), kid: jwk.kid };
}

/** The members of an object that are named. */
export function pick(object, ...names) {
  return Object.fromEntries(names.map((name) => [name, object?.[name]]));
}

const entities = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&#34;': '"', '&#39;': "'", '&#43;': '+' };
const decoded = (text) => text.replace(/&(amp|lt|gt|#34|#39|#43);/g, (entity) => entities[entity]);

export class Person {
  #cookies = new Map(); // host -> Map of name -> value; a port makes no difference

  constructor(name = test.user, password = test.password) {
    Object.assign(this, { name, password, pages: [], told: 0, decision: 'allow' });
  }

  /** The headings of the gateway's pages since the last call. */
  seen() {
    const news = this.pages.slice(this.told);
    this.told = this.pages.length;
    return news.join(', ');
  }

  /**
   * Goes to an address and on, until it is sent to one that begins with `until`, which is returned: as
   * a URL, or as the request that a form would send there.
   */
  async go(address, until) {
    let answer = await this.#request('GET', new URL(address));
    for (let steps = 0; steps < 20; steps++) {
      const form = answer.to ? undefined : this.#form(answer);
      const next = answer.to ?? form.action;
      if (next.href.startsWith(until)) {
        return form ? new Request(next, { method: 'POST', body: form.fields }) : next;
      }
      answer = await this.#next(answer, form);
    }
    throw new Error(`no end of redirects at ${answer.url}`);
  }

  /** Goes to an address and on, until a page says what is wanted, which is returned. */
  async read(address, wanted) {
    let answer = await this.#request('GET', new URL(address));
    for (let steps = 0; steps < 20; steps++) {
      const found = answer.to ? undefined : answer.text.match(wanted);
      if (found) {
        return found[1] ?? found[0];
      }
      answer = await this.#next(answer, answer.to ? undefined : this.#form(answer));
    }
    throw new Error(`no end of redirects at ${answer.url}`);
  }

  /** Sends the form of a page, or follows a redirect. */
  #next(answer, form) {
    if (!form) {
      return this.#request('GET', answer.to);
    }
    if (form.method === 'post') {
      return this.#request('POST', form.action, form.fields, answer.url.origin);
    }
    form.action.search = form.fields;
    return this.#request('GET', form.action);
  }

  /** The form of a page, filled in. */
  #form({ url, status, text }) {
    const [, attributes, inside] = text.match(/<form([^>]*)>(.*?)<\/form>/s) ?? [];
    if (inside === undefined) {
      throw new Error(`a page without a form: ${status} ${url} ${text}`);
    }
    this.pages.push(decoded(text.match(/<h1[^>]*>(.*?)<\/h1>/s)?.[1] ?? ''));
    const fields = new URLSearchParams();
    for (const [, input] of inside.matchAll(/<input([^>]*)>/g)) {
      const name = input.match(/ name="([^"]*)"/)?.[1];
      fields.set(name, decoded(input.match(/ value="([^"]*)"/)?.[1] ?? ''));
    }
    if (fields.has('password')) {
      fields.set('username', this.name);
      fields.set('password', this.password);
    }
    if (fields.has('user_code') && !fields.get('user_code')) {
      fields.set('user_code', this.code); // that a device shows
    }
    if (inside.includes('name="decision" value="allow"')) {
      fields.set('decision', this.decision);
    }
    const attribute = (name) => decoded(attributes.match(new RegExp(` ${name}="([^"]*)"`))?.[1] ?? '');
    return { method: attribute('method').toLowerCase(), action: new URL(attribute('action'), url), fields };
  }

  async #request(method, url, body, origin) {
    const jar = this.#cookies.get(url.hostname) ?? new Map();
    this.#cookies.set(url.hostname, jar);
    const headers = { Accept: 'text/html' };
    if (jar.size > 0) {
      headers.Cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    }
    if (origin) {
      headers.Origin = origin;
    }
    const answer = await fetch(url, { method, body, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) {
        jar.delete(name);
      } else {
        jar.set(name, value);
      }
    }
    const to = answer.headers.get('Location');
    return { url, status: answer.status, text: await answer.text(), to: to ? new URL(to, url) : undefined };
  }
}
