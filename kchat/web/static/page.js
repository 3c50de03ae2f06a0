// The page: who one is, the rooms, the connection, and what is done with keys and fingers.

import * as memory from "./memory.js";
import { Outbox } from "./outbox.js";
import { Room, button, element } from "./room.js";
import { Stream, told } from "./stream.js";
import { Mentions, many, size } from "./text.js";

const $ = (id) => document.getElementById(id);
const log = $("log");
const text = $("text");
const touch = matchMedia("(pointer: coarse)");
const NEAR = 48; // pixels from the end at which one is at the end

const rooms = new Map();
let outboxes = new Map();
let session = null;
let current = null;
let stream = null;
let state = "start";
let closed = ""; // why nothing can be written
let statusTimer = 0;

// ---- what rooms need of the page

const page = {
  me: { username: "", account: null },
  mentions: new Mentions(""),
  columns: () => Math.max(30, Math.floor(Math.min(log.clientWidth, 800) / 8)),
  isRead: (room) => room === current && !document.hidden && room.follows && !$("chat").hidden,
  changed: () => soon(),
  outbox: (room) => outboxes.get(room.name),
  keep,
  async get(url) {
    try {
      const answer = await fetch(url, { cache: "no-store" });
      return answer.ok ? await answer.json() : { messages: [], more: false };
    } catch {
      return null;
    }
  },
  again: (room, id) => page.outbox(room).again(id),
  discard(room, id) {
    page.outbox(room).remove(id);
    room.removeWritten(id);
    text.focus();
  },
};

// ---- the place in the log

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
}

function toEnd() {
  log.scrollTop = log.scrollHeight;
}

/** The first row that is seen, and where it is. */
function firstSeen(room) {
  const { children } = room.rows;
  const edge = log.getBoundingClientRect().top;
  let [low, high] = [0, children.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (children[middle].getBoundingClientRect().bottom > edge) high = middle;
    else low = middle + 1;
  }
  const row = children[low];
  return row ? { row, top: row.getBoundingClientRect().top - edge } : null;
}

function restore(anchor) {
  if (!anchor?.row.isConnected) return;
  log.scrollTop += anchor.row.getBoundingClientRect().top - log.getBoundingClientRect().top - anchor.top;
}

let keeping = false;

/** Change rows, and stay at the end, or at what is being read. */
function keep(room, change) {
  if (room !== current || keeping) {
    change();
    return;
  }
  keeping = true;
  const anchor = room.follows ? null : firstSeen(room);
  change();
  keeping = false;
  if (room.follows) toEnd();
  else restore(anchor);
}

/** Rows that come together are not announced one by one. */
function quietly(change) {
  log.setAttribute("aria-live", "off");
  change();
  clearTimeout(quietly.timer);
  quietly.timer = setTimeout(() => log.setAttribute("aria-live", "polite"), 500);
}

// ---- what is shown beside the log

let due = false;

/** Draw what depends on many things, once. */
function soon() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    if (!current) return;
    if (page.isRead(current)) current.read();
    draw();
  });
}

function draw() {
  const all = [...rooms.values()];
  const unread = all.reduce((sum, room) => sum + room.unread, 0);
  document.title = `${unread ? `(${unread}) ` : ""}${current.name}`;
  $("newer").hidden = current.follows;
  const news = current.unread ? `${current.unread.toLocaleString("en")} new` : "Newest";
  if ($("newer").textContent !== news) $("newer").textContent = news;
  $("rooms").hidden = all.length < 2;
  for (const room of all) drawTab(room);
  drawPeople();
  const empty = current.filled && !current.rows.childElementCount;
  const nothing = current.hasHistory ? "nothing was said here yet" : "nothing was said since you came";
  log.dataset.empty = empty && !current.waiting.childElementCount ? nothing : "";
}

function drawTab(room) {
  const { tab } = room;
  if (!tab) return;
  if (room === current) tab.setAttribute("aria-current", "page");
  else tab.removeAttribute("aria-current");
  const count = room.unread ? `${room.named ? "@" : ""}${room.unread}` : "";
  const [, badge, read] = tab.children;
  badge.textContent = count;
  badge.hidden = !count;
  read.textContent = count ? `, ${room.unread} unread${room.named ? ", with your name" : ""}` : "";
}

function drawPeople() {
  const { people } = current;
  const count = $("count");
  const label = people ? `${people.count.toLocaleString("en")} here` : "Who is here";
  if (count.textContent !== label) count.textContent = label;
  $("unknown").textContent = people ? (people.more ? `and ${people.more} more` : "") : "it is not known who is here";
  if (drawPeople.drawn === people) return;
  drawPeople.drawn = people;
  $("people").replaceChildren(
    ...(people?.people ?? []).map((each) => {
      const item = element("li");
      item.append(element("bdi", `name c${current.colours.get(each.username ?? each.name)}`, each.name));
      if (each.mark) item.append(element("span", "mark", each.mark));
      return item;
    }),
  );
}

/** The state of the connection: a short line that goes when all is well. */
function setState(name, what = "") {
  const was = state;
  if (closed && name !== "closed") return;
  state = name;
  document.body.dataset.state = name;
  clearTimeout(statusTimer);
  const line = $("status");
  if (name === "live") {
    const trouble = current?.trouble ?? "";
    if (trouble) say(trouble, "wait");
    else if (was === "reconnecting" || was === "offline") say("Connected again", "good", 3000);
    else if (!line.classList.contains("good")) say("");
    return;
  }
  const texts = {
    connecting: "Connecting…",
    reconnecting: `Reconnecting…${what ? ` ${what}` : ""}${session?.may_send ? " What you write is kept, and sent then." : ""}`,
    offline: "You are offline. What you write is kept, and sent when you are back.",
    closed: what,
  };
  // A connection that is back at once is no news.
  if (was === "live" && name === "reconnecting") statusTimer = setTimeout(() => say(texts[name], "wait"), 400);
  else say(texts[name], name === "closed" ? "bad" : "wait");
}

function say(what, kind = "", milliseconds = 0) {
  const line = $("status");
  clearTimeout(statusTimer);
  line.className = what ? kind : "";
  if (line.textContent !== what) line.textContent = what;
  if (kind === "bad") line.append(" ", button("", "Open another link", () => showDoor("")));
  if (milliseconds) statusTimer = setTimeout(() => setState(state), milliseconds);
  if (milliseconds) statusTimer = setTimeout(() => say(current?.trouble ?? "", "wait"), milliseconds);
}

// ---- rooms

function openRooms(described) {
  session = described;
  if (page.me.username !== described.username || page.me.account !== described.account) {
    page.me = { username: described.username, account: described.account };
    page.mentions = new Mentions(described.username);
    rooms.clear();
    outboxes.forEach((each) => each.close(""));
    outboxes = new Map();
    current = null;
  }
  for (const [name, room] of rooms) {
    if (described.rooms.some((each) => each.name === name)) continue;
    room.tab.remove();
    rooms.delete(name);
  }
  for (const { name, history, connected } of described.rooms) {
    if (!rooms.has(name)) addRoom(name);
    const room = rooms.get(name);
    room.hasHistory = history;
    room.connected = connected;
    if (connected) room.trouble = "";
  }
  $("rooms").replaceChildren(...[...rooms.values()].map((room) => room.tab));
  const own = described.username;
  $("me").textContent = own ? `you are ${own}` : "you read along";
  $("you").textContent = own ? own + (described.account && described.account !== own ? ` (via ${described.account})` : "") : "without a name";
  $("leave").hidden = !own;
  $("enter").hidden = Boolean(own);
  $("write").hidden = !described.may_send;
  if (!rooms.has(current?.name)) enterRoom(rooms.get(memory.read(`${own}/room`)) ?? rooms.values().next().value);
}

function addRoom(name) {
  const room = new Room(name, page);
  room.tab = button("", "", () => {
    enterRoom(room);
    if (!touch.matches) text.focus();
  });
  room.tab.append(element("span", "", name), element("span", "badge"), element("span", "unseen"));
  rooms.set(name, room);
  outboxes.set(
    name,
    new Outbox(`${room.key}out/`, `api/rooms/${encodeURIComponent(name)}/messages`, {
      changed: (item) => {
        room.showWritten(item);
        if (item.state === "failed") room.page.changed();
      },
      out: (why) => leaveWith(`You are not in any more: ${why.text}`),
      overdue: () => session?.may_read && stream?.live && stream.open(),
      held: () => !room.connected,
    }),
  );
}

function enterRoom(room) {
  if (!room || room === current) return;
  if (current) {
    keepDraft();
    current.anchor = current.follows ? null : firstSeen(current);
    current.clearNew();
  }
  current = room;
  memory.write(`${page.me.username}/room`, room.name);
  quietly(() => log.replaceChildren(room.top, room.rows, room.waiting));
  if (room.follows) toEnd();
  else restore(room.anchor);
  $("room").textContent = room.name;
  $("label").textContent = `Message to ${room.name}`;
  text.placeholder = `Message to ${room.name}`;
  text.value = memory.read(`${room.key}draft`) ?? "";
  fit();
  setState(state);
  soon();
}

function keepDraft() {
  if (!current) return;
  if (text.value) memory.write(`${current.key}draft`, text.value);
  else memory.remove(`${current.key}draft`);
}

// ---- the stream

const happened = {
  hello: (described) => openRooms(described),
  message(message, position) {
    rooms.get(message.room)?.arrive(message, position, stream.live);
  },
  missed({ room, text: what }) {
    rooms.get(room)?.note(what, "missed");
    if (stream.live) rooms.get(room)?.flush();
  },
  people(people) {
    const room = rooms.get(people.room);
    if (!room) return;
    room.people = people;
    soon();
  },
  connection({ room: name, connected, text: what }) {
    const room = rooms.get(name);
    if (!room) return;
    const was = room.connected;
    room.connected = connected;
    room.trouble = connected ? "" : what;
    if (connected && !was) {
      if (what && what !== "nothing was missed") room.note(`the server is connected to the broker again: ${what}`);
      page.outbox(room).run();
    }
    if (stream.live) room.flush();
    if (room === current) {
      if (!connected) say(what, "wait");
      else if (!was) say(`The server is connected to the broker again${what ? `: ${what}` : ""}`, "good", 4000);
    }
  },
  live() {
    quietly(() => {
      for (const room of rooms.values()) {
        room.flush();
        if (room.filled) continue;
        room.filled = true;
        page.outbox(room).restore();
      }
    });
    if (current.follows) toEnd();
    for (const outbox of outboxes.values()) outbox.run();
    soon();
    look();
  },
  slow({ text: what }) {
    current?.note(what);
    current?.flush();
  },
  closing() {},
  revoked: ({ text: what }) => leaveWith(`${what.charAt(0).toUpperCase()}${what.slice(1)}. Ask your host for a new link.`),
};

function start(described) {
  closed = "";
  $("start").hidden = true;
  $("door").hidden = true;
  $("chat").hidden = false;
  stream?.end();
  stream = null;
  openRooms(described);
  text.readOnly = false;
  fit();
  if (described.may_send && !touch.matches) text.focus();
  if (!described.may_read) {
    setState("live");
    for (const room of rooms.values()) {
      room.filled = true;
      room.note("you can write here, and not read what others write");
      room.flush();
      page.outbox(room).restore();
      page.outbox(room).run();
    }
    return;
  }
  stream = new Stream({
    event: (name, data, position) => happened[name](data, position),
    state: (name, what) => {
      if (name !== "live") for (const room of rooms.values()) room.flush();
      setState(name, what);
    },
    out: (why) => leaveWith(`You are not in any more: ${why.text}`),
  });
  setState("connecting");
  stream.open();
}

/** Nothing can be read or written any more; what was, stays. */
function leaveWith(why) {
  if (closed) return;
  closed = why;
  stream?.end();
  for (const outbox of outboxes.values()) outbox.close("you are not in any more");
  keepDraft();
  text.readOnly = true;
  fit();
  setState("closed", why);
}

// ---- in and out

function showDoor(problem) {
  $("start").hidden = true;
  $("chat").hidden = true;
  $("door").hidden = false;
  $("door-back").hidden = !session || Boolean(closed);
  $("door-problem").textContent = problem;
  document.title = "kchat";
  document.body.dataset.state = "door";
  $("link").focus();
}

/** The secret of a link, which is what is behind its "#"; empty if there is none. */
function secretOf(link) {
  const found = link.trim().replace(/^[^#]*#/, "");
  return /^[\w.~-]{16,}$/.test(found) ? found : "";
}

async function ask(method, body) {
  const answer = await fetch("api/session", {
    method,
    cache: "no-store",
    ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (answer.ok) return { described: await answer.json() };
  return { refused: await told(answer) };
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Try until there is an answer: a link opens once, and its answer may be lost on its way. */
async function insist(method, body) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const answer = await ask(method, body);
      if (!answer.refused || ![429, 502, 503, 504].includes(answer.refused.status)) return answer;
    } catch {
      // not reached
    }
    const waits = "The server cannot be reached. It is tried again…";
    $("start").querySelector("p").textContent = waits;
    if (!$("door").hidden) $("door-problem").textContent = waits;
    await pause(Math.min(15_000, 500 * 2 ** attempt) * (0.5 + Math.random()));
  }
}

async function enter(secret) {
  let refused = null;
  if (secret) {
    const answer = await insist("POST", { secret, browser: memory.browser() });
    if (answer.described) return start(answer.described);
    refused = answer.refused;
  }
  const known = await insist("GET");
  if (known.described && !(refused && session && !closed)) {
    start(known.described);
    if (refused) say(`That link was of no use (${refused.text}), but you are in already.`, "good", 6000);
    return null;
  }
  return showDoor(refused?.text ?? (known.refused.status === 401 ? "" : known.refused.text));
}

function secretInAddress() {
  const secret = secretOf(location.hash);
  if (secret) history.replaceState(null, "", location.pathname + location.search);
  return secret;
}

async function leave() {
  const unsent = [...outboxes.values()].reduce((sum, each) => sum + [...each.items.values()].filter((item) => item.state !== "confirmed").length, 0);
  const warning = unsent ? `${many(unsent, "message")} not sent yet will be lost. ` : "";
  const sure = button("strong", "Leave", async () => {
    try {
      const answer = await fetch("api/session", { method: "DELETE" });
      if (!answer.ok && answer.status !== 401) throw new Error();
    } catch {
      $("told").textContent = "The server cannot be reached: you are still in.";
      return;
    }
    stream?.end();
    for (const key of memory.keys(`${encodeURIComponent(page.me.username)}/`)) memory.remove(key);
    session = null;
    text.value = "";
    current = null;
    location.reload();
  });
  const stay = button("quiet", "Stay", () => $("told").replaceChildren());
  $("told").replaceChildren(element("p", "", `${warning}To come back you need a new link.`), sure, stay);
  sure.focus();
}

// ---- writing

function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
  const most = session?.limits?.message_bytes ?? 0;
  const used = text.value.length * 3 > most * 0.8 ? size(text.value) : 0;
  const over = Boolean(most) && used > most;
  const near = most && used > most * 0.8;
  const left = `${many(Math.abs(most - used), "byte")} ${over ? "too long" : "left"}`;
  if ($("size").textContent !== (near ? left : "")) $("size").textContent = near ? left : "";
  $("size").className = over ? "over" : "";
  $("send").disabled = Boolean(closed) || over || !text.value.trim();
  if (current?.follows) toEnd();
}

function send() {
  if ($("send").disabled || !current) return;
  const written = text.value.replace(/\s+$/, "");
  text.value = "";
  keepDraft();
  current.follows = true;
  current.clearNew();
  page.outbox(current).write(written);
  toEnd();
  fit();
  soon();
}

$("write").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
  text.focus();
});

text.addEventListener("input", () => {
  fit();
  keepDraft();
});

text.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === "Enter" && !event.shiftKey && !event.altKey && !touch.matches) {
    event.preventDefault();
    send();
  } else if (event.key === "PageUp" || event.key === "PageDown") {
    event.preventDefault();
    log.scrollBy({ top: (event.key === "PageUp" ? -0.9 : 0.9) * log.clientHeight });
  } else if (event.ctrlKey && (event.key === "End" || event.key === "Home") && !text.value) {
    event.preventDefault();
    if (event.key === "End") newest();
    else log.scrollTop = 0;
  }
});

// ---- looking back

/** Load older ones where the oldest are nearly seen. */
function look() {
  if (current && log.scrollTop < log.clientHeight) current.older();
}

function newest() {
  current.follows = true;
  toEnd();
  soon();
}

log.addEventListener(
  "scroll",
  () => {
    if (!current) return;
    const follows = isAtEnd();
    if (follows !== current.follows) {
      current.follows = follows;
      soon();
    }
    look();
  },
  { passive: true },
);

log.addEventListener("keydown", (event) => {
  if (event.target !== log || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "End") {
    event.preventDefault();
    newest();
  } else if (event.key.length === 1 && event.key !== " " && !$("write").hidden) text.focus(); // and the key is written there
});

$("newer").addEventListener("click", () => {
  newest();
  if (!touch.matches) text.focus();
});

$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  text.focus();
});

// ---- who is here, and you

function showSide(open) {
  document.body.classList.toggle("side-open", open);
  $("people-button").setAttribute("aria-expanded", String(open));
  $("told").replaceChildren();
}

$("people-button").addEventListener("click", () => showSide(!document.body.classList.contains("side-open")));
$("leave").addEventListener("click", leave);
$("enter").addEventListener("click", () => showDoor(""));
$("door-back").addEventListener("click", () => start(session));

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || $("chat").hidden) return;
  if (document.body.classList.contains("side-open")) {
    showSide(false);
    $("people-button").focus();
  } else {
    newest();
    text.focus();
  }
});

$("talk").addEventListener("pointerdown", () => document.body.classList.contains("side-open") && showSide(false));

$("door-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const link = $("link").value;
  const secret = secretOf(link);
  let host = location.host;
  try {
    host = new URL(link.trim()).host;
  } catch {
    // the secret alone
  }
  if (!secret) $("door-problem").textContent = "that is not the link of an invitation: copy all of it, to its end";
  else if (host !== location.host) $("door-problem").textContent = `that link leads to ${host}, not to this server: open it in the address bar`;
  else {
    $("link").value = "";
    enter(secret);
  }
});

addEventListener("hashchange", () => {
  const secret = secretInAddress();
  if (secret) enter(secret);
});

// ---- the window

document.addEventListener("visibilitychange", () => {
  if (!current) return;
  if (document.hidden) {
    for (const room of rooms.values()) room.clearNew();
    keepDraft();
  }
  soon();
});

new ResizeObserver(() => {
  if (!current) return;
  if (current.follows) toEnd();
  else restore(current.anchor);
}).observe(log);

// The keyboard of a telephone covers the page in Safari, which has no other word for it.
function fitWindow() {
  const { visualViewport: seen } = window;
  if (!seen || seen.scale > 1.01) return;
  document.documentElement.style.setProperty("--height", `${seen.height}px`);
  if (seen.offsetTop) scrollTo(0, 0);
}
window.visualViewport?.addEventListener("resize", fitWindow);
window.visualViewport?.addEventListener("scroll", fitWindow);

addEventListener("pageshow", (event) => event.persisted && soon());

enter(secretInAddress());
