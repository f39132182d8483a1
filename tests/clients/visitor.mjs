// A browser of somebody who has no JavaScript: cookies, forms, redirects.

const ENTITIES = { lt: "<", gt: ">", quot: '"', amp: "&", "#34": '"', "#38": "&", "#39": "'", "#60": "<", "#62": ">" };
const plain = (text) => text.replace(/&(#?\w+);/g, (whole, name) => ENTITIES[name] ?? whole);
const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\s${name}="([^"]*)"`));
  return found && plain(found[1]);
};

/** The form of a page that has a field of this name. */
function form(html, field) {
  for (const [, head, body] of html.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)) {
    const fields = new URLSearchParams();
    let has = false;
    for (const [tag] of body.matchAll(/<(?:input|button)[^>]*>/g)) {
      const name = attribute(tag, "name");
      has ||= name === field;
      const off = attribute(tag, "type") === "checkbox" && !/\schecked[\s>]/.test(tag);
      if (name && tag.startsWith("<input") && !off) fields.append(name, attribute(tag, "value") ?? "");
    }
    if (has) return { action: attribute(head, "action"), fields };
  }
  throw new Error(`no form with ${field} in ${html}`);
}

export class Visitor {
  #cookies = new Map();

  /** Opens a URL; the page, or the URL elsewhere that it leads to. */
  async open(url, init = {}) {
    const origin = new URL(url).origin;
    for (let hops = 0; hops < 10; hops += 1) {
      const cookie = [...this.#cookies].map((pair) => pair.join("=")).join("; ");
      const answer = await fetch(url, { ...init, redirect: "manual", headers: { ...init.headers, cookie } });
      for (const line of answer.headers.getSetCookie()) {
        const [name, value] = line.split(";")[0].split("=");
        if (/max-age=0/i.test(line)) this.#cookies.delete(name);
        else this.#cookies.set(name, value);
      }
      const location = answer.headers.get("location");
      if (!location) return { status: answer.status, url, html: await answer.text() };
      await answer.body?.cancel();
      url = new URL(location, url).href;
      init = {};
      if (new URL(url).origin !== origin) return { left: new URL(url) };
    }
    throw new Error(`redirects without end at ${url}`);
  }

  /** Sends the form that has this field, with changes. */
  send(page, field, changes) {
    const { action, fields } = form(page.html, field);
    for (const [name, value] of Object.entries(changes)) {
      fields.delete(name);
      for (const one of [value].flat()) fields.append(name, one);
    }
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return this.open(new URL(action, page.url).href, { method: "POST", body: fields.toString(), headers });
  }

  /** Opens a URL and signs in where that is asked for. */
  async openAs(url, username, password) {
    const page = await this.open(url);
    if (page.left || !page.html.includes('name="password"')) return page;
    return this.send(page, "password", { username, password });
  }
}
