// What the browser keeps for this page: drafts, what is not sent yet, where one left off. Never the link's secret.

const PREFIX = "kchat/";
const here = new Map(); // where the browser keeps nothing

function store() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export function read(key) {
  try {
    const text = store()?.getItem(PREFIX + key) ?? here.get(key);
    return text === undefined || text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

export function write(key, value) {
  const text = JSON.stringify(value);
  try {
    store().setItem(PREFIX + key, text);
    here.delete(key);
  } catch {
    here.set(key, text);
  }
}

export function remove(key) {
  here.delete(key);
  try {
    store().removeItem(PREFIX + key);
  } catch {
    // it was not kept
  }
}

/** The keys that begin so. */
export function keys(start) {
  const found = [...here.keys()];
  try {
    for (let index = 0; index < store().length; index += 1) {
      const key = store().key(index);
      if (key.startsWith(PREFIX)) found.push(key.slice(PREFIX.length));
    }
  } catch {
    // there are none
  }
  return found.filter((key) => key.startsWith(start));
}

/** A random id, in the form of a UUID (RFC 9562, version 4). crypto.randomUUID is only there with TLS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** What this browser calls itself when it opens a link: with that, it may do so again if the answer is lost. */
export function browser() {
  let name = read("browser");
  if (!name) {
    name = newId();
    write("browser", name);
  }
  return name;
}
