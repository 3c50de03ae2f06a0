// The messages of a room, as rows. Received text gets in by textContent alone.

import * as memory from "./memory.js";
import { Colours, lines, many, parts } from "./text.js";

const MOST_ROWS = 2000;
const TOGETHER = 5 * 60_000; // messages of one sender within this time stand under one name
const FOLDED_LINES = 20;
const OLDER = 50;

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
const DAY_OF_YEAR = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** An element with classes and a text. */
export function element(tag, classes = "", text = "") {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text) made.textContent = text;
  return made;
}

export function button(classes, text, click) {
  const made = element("button", classes, text);
  made.type = "button";
  made.addEventListener("click", click);
  return made;
}

function dayOf(time) {
  const date = new Date(time);
  return (date.getFullYear() === new Date().getFullYear() ? DAY : DAY_OF_YEAR).format(date);
}

/** The elements of a text: links lead to what is read in them, and to nothing else. */
function shown(text, mentions) {
  return parts(text, mentions).map(([kind, piece]) => {
    if (kind === "text") return document.createTextNode(piece);
    const made = element(kind === "link" ? "a" : "mark", kind === "link" ? "" : "you", piece);
    if (kind === "link") {
      made.href = piece;
      made.target = "_blank";
      made.rel = "noopener noreferrer nofollow";
    }
    return made;
  });
}

export class Room {
  /**
   * @param name of the room
   * @param page what it is shown in: me, mentions, log, columns(), isRead(room), changed(room), keep(room, change),
   *     get(url), again(room, id), discard(room, id)
   */
  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.hasHistory = false;
    this.connected = true;
    this.trouble = "";
    this.people = null;
    this.unread = 0;
    this.named = 0;
    this.key = `${encodeURIComponent(page.me.username)}/${encodeURIComponent(name)}/`;
    this.top = element("div", "top");
    this.rows = element("div", "rows");
    this.waiting = element("div", "waiting");
    this.waiting.setAttribute("aria-live", "off");
    this.colours = new Colours();
    this.known = new Map(); // ids of messages: their rows
    this.seen = { epoch: "", number: -1 }; // where the stream is, in this room
    this.digests = new Map(); // of messages without an id: how often, in earlier runs of the server
    this.about = new WeakMap(); // what is to be known of a row
    this.mine = new Set(memory.read(`${this.key}mine`) ?? []);
    this.left = memory.read(`${this.key}read`);
    this.queue = []; // what is shown together
    this.newLine = null;
    this.follows = true;
    this.anchor = null;
    this.filled = false;
    this.complete = false; // whether there is nothing older
    this.loading = false;
  }

  // ---- what comes

  /** Whether the stream has had this message. */
  isKnown(message, position) {
    const [epoch, number, , digest] = position.split(".");
    if (position) {
      if (epoch === this.seen.epoch && Number(number) <= this.seen.number) return true;
      if (epoch !== this.seen.epoch) {
        this.earlier = this.digests;
        this.digests = new Map();
      }
      this.seen = { epoch, number: Number(number) };
    }
    if (message.id) return this.known.has(message.id);
    if (!digest) return false;
    this.digests.set(digest, (this.digests.get(digest) ?? 0) + 1);
    const before = this.earlier?.get(digest) ?? 0;
    if (before) this.earlier.set(digest, before - 1);
    return before > 0;
  }

  /** A message of the stream; shown at once, or with others by flush(). */
  arrive(message, position, now) {
    if (this.isKnown(message, position)) {
      this.settle(message.id);
      return;
    }
    this.queue.push(message);
    if (message.id) this.known.set(message.id, null);
    if (now) this.flush();
  }

  /** Something that the page itself says, at this place. */
  note(text, kind = "") {
    this.queue.push({ note: text, kind });
  }

  /** Show what has come. */
  flush() {
    const { queue } = this;
    if (!queue.length) return;
    this.queue = [];
    this.page.keep(this, () => {
      const made = document.createDocumentFragment();
      let last = this.rows.lastElementChild;
      for (const each of queue) {
        const row = each.note ? this.noteRow(each) : this.row(each);
        if (each.note === undefined) {
          this.dayBefore(made, last, row);
          this.join(made.lastElementChild ?? last, row);
          this.count(each, row, made);
          this.settle(each.id);
        }
        made.append(row);
        last = row;
      }
      this.rows.append(made);
      this.prune();
    });
    this.page.changed(this);
  }

  dayBefore(made, last, row) {
    const { day } = this.about.get(row);
    const before = last && this.about.get(last)?.day;
    if (day !== before) made.append(this.dayRow(day));
  }

  dayRow(day) {
    const row = element("div", "day");
    row.append(element("span", "", day));
    this.about.set(row, { day });
    return row;
  }

  noteRow({ note, kind }) {
    const row = element("div", `note ${kind}`.trim());
    row.append(element("span", "", note));
    this.about.set(row, { day: this.lastDay() });
    return row;
  }

  lastDay() {
    const last = this.rows.lastElementChild;
    return last ? this.about.get(last)?.day : undefined;
  }

  /** Two messages of one sender stand under one name. */
  join(above, row) {
    const one = above && this.about.get(above);
    const other = this.about.get(row);
    const same = Boolean(one?.sender) && one.sender === other.sender && Math.abs(other.time - one.time) < TOGETHER;
    row.classList.toggle("same", same);
  }

  count(message, row, made) {
    const { mine, time } = this.about.get(row);
    if (mine) return;
    const isNew = this.filled ? !this.page.isRead(this) : this.left && (this.afterLeft || time > this.left.time);
    if (message.id && message.id === this.left?.id) this.afterLeft = true;
    if (!isNew || (!this.filled && message.id === this.left.id)) return;
    if (!this.unread) {
      this.newLine?.remove();
      this.newLine = element("div", "new-line");
      this.newLine.append(element("span", "", "new"));
      this.about.set(this.newLine, { day: this.about.get(row).day });
      made.append(this.newLine);
      row.classList.remove("same");
    }
    this.unread += 1;
    if (row.classList.contains("mention")) this.named += 1;
  }

  prune() {
    const most = this.follows ? MOST_ROWS : MOST_ROWS * 1.5;
    if (this.rows.childElementCount <= most) return;
    while (this.rows.childElementCount > MOST_ROWS) {
      const gone = this.rows.firstElementChild;
      if (gone === this.newLine) this.newLine = null;
      this.known.delete(gone.dataset.id);
      gone.remove();
    }
    this.complete = false;
  }

  /** All is read. */
  read() {
    const last = this.rows.lastElementChild;
    this.unread = 0;
    this.named = 0;
    const about = last && this.about.get(last);
    if (about?.time && (about.id !== this.left?.id || about.time !== this.left?.time)) {
      this.left = { id: about.id, time: about.time };
      memory.write(`${this.key}read`, this.left);
    }
  }

  /** What was new is not any more. */
  clearNew() {
    if (!this.unread && this.newLine) {
      this.newLine.remove();
      this.newLine = null;
    }
  }

  // ---- rows

  isMine(message) {
    const { username, account } = this.page.me;
    if (message.username !== username) return false;
    if (message.verified && account && message.account === account) return true;
    return this.mine.has(message.id) && (!account || !message.account || message.account === account);
  }

  row(message) {
    const mine = this.isMine(message);
    const time = (message.sent_at && Date.parse(message.sent_at)) || Date.now();
    const text = (message.shown ?? message.text).replace(/\n+$/, "");
    const row = element("div", mine ? "message mine" : "message");
    row.dataset.id = message.id ?? "";
    row.append(this.who(message.name, message.mark, message.username, time), this.text(text, row));
    if (!mine && row.querySelector("mark")) row.classList.add("mention");
    if (mine) row.setAttribute("aria-live", "off");
    const sender = JSON.stringify([message.username, message.account, message.mark, mine]);
    this.about.set(row, { id: message.id, sender, time, mine, day: dayOf(time) });
    if (message.id) this.known.set(message.id, row);
    return row;
  }

  who(name, mark, username, time) {
    const who = element("div", "who");
    who.append(element("bdi", `name c${username === null ? "" : this.colours.get(username)}`, name));
    if (mark) who.append(element("span", "mark", mark));
    const at = element("time", "", TIME.format(time));
    at.dateTime = new Date(time).toISOString();
    at.title = new Date(time).toLocaleString();
    who.append(" ", at);
    return who;
  }

  text(text, row) {
    const made = element("div", "text");
    made.dir = "auto";
    made.append(...shown(text, this.page.mentions));
    const count = lines(text, this.page.columns());
    if (count <= FOLDED_LINES) return made;
    const whole = document.createDocumentFragment();
    const more = button("more", `show all ${many(count, "line")}`, () => {
      const folded = made.classList.toggle("folded");
      more.textContent = folded ? `show all ${many(count, "line")}` : "show less";
      more.setAttribute("aria-expanded", String(!folded));
      if (folded) row.scrollIntoView({ block: "nearest" });
    });
    more.setAttribute("aria-expanded", "false");
    made.classList.add("folded");
    whole.append(made, more);
    return whole;
  }

  // ---- one's own, before it is in the room

  /** A message of the outbox is new, or its state is another. */
  showWritten(item) {
    this.remember(item.id);
    this.page.keep(this, () => {
      const { username } = this.page.me;
      const row = element("div", "message mine");
      row.dataset.id = item.id;
      row.classList.toggle("pending", item.state === "waiting");
      row.classList.toggle("failed", item.state === "failed");
      row.append(this.who(username, "", username, item.time), this.text(item.text, row));
      if (item.state === "failed") {
        const failed = element("div", "state");
        failed.append(
          element("span", "reason", `not sent: ${item.reason.replace(/^not sent: /, "")}`),
          button("again", "send again", () => this.page.again(this, item.id)),
          button("remove", "remove", () => this.page.discard(this, item.id)),
        );
        row.append(failed);
      } else if (item.reason) row.append(element("div", "state", item.reason));
      const known = [...this.waiting.children].find((each) => each.dataset.id === item.id);
      if (known) known.replaceWith(row);
      else this.waiting.append(row);
    });
  }

  remember(id) {
    if (this.mine.has(id)) return;
    this.mine.add(id);
    while (this.mine.size > 500) this.mine.delete(this.mine.values().next().value);
    memory.write(`${this.key}mine`, [...this.mine]);
  }

  /** It came back by the stream: what was waiting is not needed any more. */
  settle(id) {
    if (id && this.page.outbox(this).remove(id)) this.removeWritten(id);
  }

  removeWritten(id) {
    this.page.keep(this, () => [...this.waiting.children].find((each) => each.dataset.id === id)?.remove());
  }

  // ---- older ones

  /** Load what is older than the first. */
  async older() {
    if (this.loading || this.complete || !this.filled) return;
    const first = [...this.rows.children].find((each) => each.dataset.id);
    if (!first) return;
    if (this.rows.childElementCount >= MOST_ROWS) {
      this.begin(`${many(MOST_ROWS, "line")} are shown here, and older ones are not`);
      return;
    }
    this.loading = true;
    this.top.replaceChildren(element("span", "", "loading older messages…"));
    const url = `api/rooms/${encodeURIComponent(this.name)}/messages`;
    const found = await this.page.get(`${url}?before=${encodeURIComponent(first.dataset.id)}&last=${OLDER}`);
    this.loading = false;
    this.top.replaceChildren();
    if (!found) return;
    const messages = found.messages.filter((each) => !each.id || !this.known.has(each.id));
    if (found.more === false || !messages.some((each) => each.id)) this.begin();
    if (messages.length) this.page.keep(this, () => this.prepend(messages));
  }

  /** Nothing is older. */
  begin(text = "nothing older is kept here") {
    this.complete = true;
    this.top.replaceChildren(element("span", "", text));
  }

  prepend(messages) {
    const made = document.createDocumentFragment();
    let last = null;
    for (const each of messages) {
      const row = this.row(each);
      this.dayBefore(made, last, row);
      this.join(made.lastElementChild, row);
      made.append(row);
      last = row;
    }
    const first = this.rows.firstElementChild;
    const joined = first?.classList.contains("day") && this.about.get(first).day === this.about.get(last).day;
    if (joined) {
      const next = first.nextElementSibling;
      first.remove();
      if (next?.classList.contains("message")) this.join(last, next);
    }
    this.rows.prepend(made);
  }
}
