// What is in a text, without any page: links, one's own name, lines, colours.

// As in the terminal's window: printable ASCII alone, since nothing else looks the same to everybody, and what ends a
// sentence does not end a link.
const LINK = /https?:\/\/[A-Za-z0-9[][^\s"'<>`\\^{|}\x7f-\u{10ffff}]*[A-Za-z0-9/#=&_~%+\-$@*]/gu;
const BEFORE_LINK = /[\p{L}\p{N}_@/.-]$/u;
const LONGEST_LINK = 2048;
const WORD_ENDS = /[\p{L}\p{N}_]$/u;
const WORD_BEGINS = /^[\p{L}\p{N}_]/u;
const DEFAULT_PORTS = { "http:": ":80", "https:": ":443" };

/** Whether a link leads to the very host that is read in it: no user before it, no other spelling of it. */
export function isHonest(link) {
  try {
    const url = new URL(link);
    const read = link.slice(link.indexOf("//") + 2).split(/[/?#]/, 1)[0].toLowerCase();
    return !url.username && !url.password && (read === url.host || read === url.host + DEFAULT_PORTS[url.protocol]);
  } catch {
    return false;
  }
}

/** Finds a name as a whole word, whatever its case. */
export class Mentions {
  constructor(name) {
    this.pattern = name && new RegExp(name.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "giu");
  }

  /** [start, end] of each. */
  in(text) {
    const found = [];
    for (const match of this.pattern ? text.matchAll(this.pattern) : []) {
      let start = match.index;
      const end = start + match[0].length;
      if (WORD_ENDS.test(text.slice(Math.max(0, start - 2), start)) || WORD_BEGINS.test(text.slice(end, end + 2))) continue;
      if (text[start - 1] === "@") start -= 1;
      found.push([start, end]);
    }
    return found;
  }
}

/** A text in parts: ["text" | "link" | "you", string], which together are the text. */
export function parts(text, mentions) {
  const found = [];
  const plain = (piece) => {
    let at = 0;
    for (const [start, end] of mentions.in(piece)) {
      if (start > at) found.push(["text", piece.slice(at, start)]);
      found.push(["you", piece.slice(start, end)]);
      at = end;
    }
    if (at < piece.length) found.push(["text", piece.slice(at)]);
  };
  let at = 0;
  for (const match of text.includes("://") ? text.matchAll(LINK) : []) {
    const [link] = match;
    const before = text.slice(Math.max(0, match.index - 2), match.index);
    if (link.length > LONGEST_LINK || BEFORE_LINK.test(before) || !isHonest(link)) continue;
    plain(text.slice(at, match.index));
    found.push(["link", link]);
    at = match.index + link.length;
  }
  plain(text.slice(at));
  return found;
}

/** How many lines a text takes, about, at this many characters in a line. */
export function lines(text, columns) {
  let count = 0;
  for (const line of text.split("\n")) count += Math.max(1, Math.ceil(line.length / columns));
  return count;
}

/** Bytes of a text in UTF-8. */
export const size = (text) => new TextEncoder().encode(text).length;

const COLOURS = 12;

function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}

/** The colours of names: the one that the name's own sum chooses, as in the terminal, or the next that nobody has. */
export class Colours {
  constructor() {
    this.of = new Map();
  }

  get(name) {
    let colour = this.of.get(name);
    if (colour === undefined) {
      if (this.of.size >= 1000) this.of.clear();
      colour = crc32(new TextEncoder().encode(name)) % COLOURS;
      const taken = new Set(this.of.values());
      if (taken.size < COLOURS) while (taken.has(colour)) colour = (colour + 1) % COLOURS;
      this.of.set(name, colour);
    }
    return colour;
  }
}

/** "1 message", "2 messages". */
export const many = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
