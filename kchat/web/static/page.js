// The page: who one is, the rooms, the connection, and what is done with keys and fingers.

import * as memory from "./memory.js";
import { Outbox } from "./outbox.js";
import { Room, button, element } from "./room.js";
import { Stream, ask, backoff, json, told } from "./stream.js";
import { many, mentionsOf, number, size } from "./text.js";

const { body } = document;
const $ = (id) => document.getElementById(id);
const [log, text] = [$("log"), $("text")];
const touch = matchMedia("(pointer: coarse)");

const rooms = new Map();
let session = null;
let current = null;
let stream = null;
let closed = false;
let lastTop = 0;
let timer = 0;
let remark = "";

const setText = (id, value) => $(id).textContent === value || ($(id).textContent = value);
const listen = (id, event, call) => $(id).addEventListener(event, call);
const AGAIN = "the server is connected to the broker again";
const UNREACHED = "the server cannot be reached";
const focusText = () => touch.matches || text.focus();

const page = {
	me: {},
	columns: () => Math.max(30, Math.min(log.clientWidth, 800) >> 3),
	isRead: (room) => room === current && !document.hidden && room.follows,
	changed: soon,
	keep,
};

const topOf = (row) => row.getBoundingClientRect().top;
const bottomOf = (row) => row.getBoundingClientRect().bottom;
const toEnd = () => scrollTo(log.scrollHeight);

function scrollTo(top) {
	log.scrollTop = top;
	lastTop = log.scrollTop;
}

const hasLine = (room) => room.unread && room.newLine?.isConnected;

/** To the line above what is unread, with some of what was read. */
function toLine(room) {
	room.follows = false;
	scrollTo(log.scrollTop + topOf(room.newLine) - topOf(log) - log.clientHeight / 6);
	soon();
}

/** To the end, but no further than what is unread. */
function follow(room) {
	toEnd();
	if (hasLine(room) && topOf(room.newLine) < topOf(log)) toLine(room);
}

function firstSeen() {
	const { children } = current.rows;
	const edge = topOf(log);
	let [low, high] = [0, children.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (bottomOf(children[middle]) > edge) high = middle;
		else low = middle + 1;
	}
	let row = children[low];
	while (row && !row.matches(".message")) row = row.nextSibling;
	return row && { row, top: topOf(row) - edge };
}

function restore(room, anchor) {
	if (room.follows) follow(room);
	else if (anchor?.row.isConnected) log.scrollTop += topOf(anchor.row) - topOf(log) - anchor.top;
}

let keeping = false;

/** Change rows, and stay at the end, or at what is being read. */
function keep(room, change) {
	if (room !== current || keeping) return change();
	keeping = true;
	const anchor = !room.follows && firstSeen();
	change();
	keeping = false;
	restore(room, anchor);
}

/** Rows that come together are not announced. */
function quietly(change) {
	log.ariaLive = "off";
	change();
	clearTimeout(quietly.timer);
	quietly.timer = setTimeout(() => (log.ariaLive = "polite"), 500);
}

function soon() {
	if (soon.due) return;
	soon.due = true;
	queueMicrotask(() => {
		soon.due = false;
		if (!current) return;
		if (page.isRead(current)) current.read();
		draw();
	});
}

function draw() {
	const unread = [...rooms.values()].reduce((sum, room) => sum + room.unread, 0);
	if (!$("chat").hidden) document.title = `${unread ? `(${unread}) ` : ""}${current.name}`;
	$("newer").hidden = current.follows;
	setText("newer", current.unread ? `${number(current.unread)} new` : "Newest");
	$("rooms").hidden = rooms.size < 2;
	for (const room of rooms.values()) {
		const [, badge, read] = room.tab.children;
		room.tab.ariaCurrent = room === current ? "page" : null;
		badge.hidden = !room.unread;
		badge.textContent = (room.named ? "@" : "") + room.unread;
		read.textContent = room.unread ? `, ${room.unread} unread${room.named ? ", with your name" : ""}` : "";
	}
	if (draw.last !== current) (draw.last = current).tab.scrollIntoView({ block: "nearest" });
	drawPeople(current.people);
	const nothing = current.hasHistory ? "No messages yet" : "No messages since you joined";
	log.dataset.empty = !current.filled || current.rows.firstChild || current.waiting.firstChild ? "" : nothing;
}

function drawPeople(people) {
	if (drawPeople.last === people) return;
	drawPeople.last = people;
	const { count, more, people: listed } = people ?? { people: [] };
	const rest = count - listed.length;
	setText("count", people ? `${number(count)}${more ? "+" : ""} here` : "Who is here");
	setText("unknown", people ? (rest ? `and ${number(rest)} more` : "") : "not known in this room");
	$("people").replaceChildren(...listed.map((each) => element("li", "", ...current.nameOf(each))));
}

function say(what, kind = "", milliseconds = 0) {
	const line = $("status");
	clearTimeout(timer);
	line.className = what && kind;
	setText("status", what);
	if (kind === "bad") line.append(" ", button("", "Open another link", () => showDoor("")));
	if (milliseconds) timer = setTimeout(() => say(current?.trouble ?? "", "wait"), milliseconds);
}

function setState(name, what = "") {
	if (closed && name !== "closed") return;
	const was = body.dataset.state;
	body.dataset.state = name;
	if (name === "live") {
		if (remark) say(remark, "bad", 10_000);
		else if (current.trouble || !/reconn|offline/.test(was)) say(current.trouble, "wait");
		else say("Connected again", "good", 3000);
		remark = "";
		return;
	}
	const kept = session.may_send ? " Your messages are sent afterwards." : "";
	const texts = {
		connecting: "Connecting…",
		reconnecting: `Reconnecting…${what && ` ${what}.`}${kept}`,
		offline: `You are offline.${kept}`,
		closed: what,
	};
	clearTimeout(timer);
	if (was === "live" && !closed) timer = setTimeout(() => say(texts[name], "wait"), 400);
	else say(texts[name], name === "closed" ? "bad" : "wait");
}

function openRooms(described) {
	session = described;
	const { username, account } = described;
	if (page.me.username !== username || page.me.account !== account) {
		rooms.forEach(({ outbox }) => outbox.close(""));
		rooms.clear();
		current = null;
		page.me = { username, account, key: encodeURIComponent(username) };
		page.mentions = mentionsOf(username);
	}
	const names = described.rooms.map((room) => room.name);
	for (const name of rooms.keys()) if (!names.includes(name)) rooms.delete(name);
	for (const { name, history, connected, people } of described.rooms) {
		if (!rooms.has(name)) addRoom(name);
		Object.assign(rooms.get(name), { hasHistory: history, connected }, connected && { trouble: "" }, people && { people });
	}
	if (!names.length) return close("The server has none of your rooms open");
	$("rooms").replaceChildren(...[...rooms.values()].map((room) => room.tab));
	setText("me", username ? `you are ${username}` : "read only");
	setText("you", `${username || "without a name"}${account && account !== username ? ` (via ${account})` : ""}`);
	$("leave").hidden = $("device").hidden = !username;
	$("enter").hidden = Boolean(username);
	$("write").hidden = !described.may_send;
	if (!rooms.has(current?.name)) enterRoom(rooms.get(memory.read(`${page.me.key}/room`)) ?? [...rooms.values()][0]);
}

function addRoom(name) {
	const room = new Room(name, page);
	room.tab = button("", "", () => {
		enterRoom(room);
		focusText();
	});
	room.tab.append(element("span", "", name), element("span", "badge"), element("span", "unseen"));
	rooms.set(name, room);
	const on = {
		changed: (item) => room.showWritten(item),
		out,
		overdue: () => stream?.live && stream.open(),
		held: () => !room.connected,
	};
	room.outbox = new Outbox(`${room.key}out/`, room.url, on);
}

function enterRoom(room) {
	if (!room || room === current) return;
	if (current) {
		keepDraft();
		current.anchor = firstSeen();
		current.clearNew();
	}
	current = room;
	memory.write(`${page.me.key}/room`, room.name);
	quietly(() => log.replaceChildren(room.top, room.rows, room.waiting));
	restore(room, room.anchor);
	setText("room", room.name);
	setText("label", (text.placeholder = `Message to ${room.name}`));
	text.value = memory.read(`${room.key}draft`) ?? "";
	fit();
	if (body.dataset.state === "live") say(room.trouble, "wait");
	soon();
}

function keepDraft() {
	if (!current) return;
	if (text.value) memory.write(`${current.key}draft`, text.value);
	else memory.remove(`${current.key}draft`);
}

const inRoom = {
	message: (room, message) => room.message(message),
	missed: (room, { text: what }) => room.note(what, "missed"),
	people(room, people) {
		room.people = people;
		soon();
	},
	connection(room, { connected, text: what }) {
		const isBack = connected && !room.connected;
		Object.assign(room, { connected, trouble: connected ? "" : what });
		if (isBack) {
			room.outbox.run();
			if (what && what !== "nothing was missed") room.note(`${AGAIN}: ${what}`);
		}
		if (room !== current) return;
		if (!connected) say(room.trouble, "wait");
		else if (isBack) say(`${AGAIN}${what && `: ${what}`}`, "good", 4000);
	},
};

const happened = {
	hello: openRooms,
	live() {
		quietly(() => rooms.forEach(fill));
		soon();
		look();
	},
	slow({ text: what }) {
		current.note(what);
		current.flush();
	},
	closing() {},
	revoked: ({ text: what }) => close(`${what}. Ask your host for a new link.`),
};

function fill(room) {
	room.flush();
	if (!room.filled) room.outbox.restore(room.known);
	room.filled = true;
	room.outbox.run();
}

function start(described) {
	closed = false;
	show("chat");
	stream?.end();
	openRooms(described);
	if (closed) return;
	rooms.forEach(({ outbox }) => (outbox.closed = false));
	text.readOnly = false;
	fit();
	focusText();
	if (!described.may_read) {
		for (const room of rooms.values()) {
			room.note("you can write here, but not read");
			fill(room);
		}
		setState("live");
		return;
	}
	stream = new Stream({
		event(name, data) {
			if (happened[name]) return happened[name](data);
			const room = rooms.get(data.room);
			if (!room) return;
			inRoom[name](room, data);
			if (stream.live) room.flush();
		},
		state(name, what) {
			if (name !== "live") rooms.forEach((room) => room.flush());
			setState(name, what);
		},
		out,
	});
	setState("connecting");
	stream.open();
}

function show(shown) {
	for (const id of ["start", "door", "chat"]) $(id).hidden = id !== shown;
}

const out = (why) => close(`${why.text}.`);

function close(why) {
	if (closed) return;
	closed = true;
	stream?.end();
	keepDraft();
	text.readOnly = true;
	fit();
	setState("closed", why);
	rooms.forEach(({ outbox }) => outbox.close("you are not signed in"));
}

function showDoor(problem) {
	show("door");
	$("back").hidden = !session || closed;
	setText("door-problem", problem);
	document.title = "kchat";
	body.dataset.state = "door";
	$("link").focus();
}

function secretOf(link) {
	const found = link.trim().replace(/^[^#]*#/, "");
	return /^[\w.~-]{16,}$/.test(found) ? found : "";
}

/** Ask until there is an answer: a link opens once. */
async function insist(options) {
	for (let attempt = 1; ; attempt += 1) {
		const answer = await ask("api/session", options);
		if (answer?.ok) return { described: await answer.json() };
		if (answer && ![429, 502, 503, 504].includes(answer.status)) return { refused: await told(answer) };
		setText($("door").hidden ? "opening" : "door-problem", `${answer ? (await told(answer)).text : UNREACHED}; trying again…`);
		await new Promise((resolve) => setTimeout(resolve, backoff(attempt)));
	}
}

async function enter(secret) {
	let refused;
	if (secret) {
		const browser = memory.read("browser") ?? memory.newId(); // may open the link again if the answer is lost
		memory.write("browser", browser);
		const answer = await insist(json({ secret, browser }));
		if (answer.described) return start(answer.described);
		refused = answer.refused;
	}
	const known = await insist();
	if (refused && !known.described?.username) return showDoor(refused.text);
	if (known.refused) return showDoor(known.refused.status === 401 ? "" : known.refused.text);
	if (refused) remark = `That link did not open (${refused.text}), but you are in already.`;
	start(known.described);
}

function secretInAddress() {
	const secret = secretOf(location.hash);
	if (secret) history.replaceState(null, "", location.pathname + location.search);
	return secret;
}

async function leave() {
	const warning = "Unsent messages are lost, and you need a new link to come back.";
	if ($("told").textContent !== warning) {
		setText("told", warning);
		return setText("leave", "Leave anyway");
	}
	const answer = await ask("api/session", { method: "DELETE" });
	if (!answer?.ok && answer?.status !== 401) return setText("told", `${UNREACHED}: you are still signed in`);
	stream?.end();
	text.value = "";
	current = null;
	memory.keys(`${page.me.key}/`).forEach(memory.remove);
	location.reload();
}

function fit() {
	text.style.height = "auto";
	text.style.height = `${text.scrollHeight + 2}px`;
	const most = session.limits?.message_bytes ?? Infinity;
	const left = most - size(text.value);
	setText("size", left < most * 0.2 ? `${many(Math.abs(left), "byte")} ${left < 0 ? "too long" : "left"}` : "");
	$("size").className = left < 0 ? "over" : "";
	$("send").disabled = closed || left < 0 || !text.value.trim();
	if (current?.follows) toEnd();
}

function send() {
	if ($("send").disabled) return;
	const written = text.value.trimEnd();
	text.value = "";
	keepDraft();
	newest();
	current.clearNew();
	current.outbox.write(written);
	fit();
}

listen("write", "submit", (event) => {
	event.preventDefault();
	send();
	text.focus();
});

listen("text", "input", () => {
	fit();
	keepDraft();
});

listen("text", "keydown", (event) => {
	const { key } = event;
	if (event.isComposing || event.keyCode === 229) return; // an input method's
	if (key === "Enter" && (event.ctrlKey || event.metaKey || !(event.shiftKey || event.altKey || touch.matches))) send();
	else if (key === "PageUp" || key === "PageDown") log.scrollBy(0, (key === "PageUp" ? -0.9 : 0.9) * log.clientHeight);
	else return;
	event.preventDefault();
});

const look = () => log.scrollTop < log.clientHeight && current.older();

function newest() {
	current.follows = true;
	current.read();
	toEnd();
	soon();
}

listen("log", "scroll", () => {
	if (!current) return;
	const { scrollTop } = log;
	const isUp = scrollTop < lastTop;
	lastTop = scrollTop;
	const follows = log.scrollHeight - scrollTop - log.clientHeight < 48 || (current.follows && !isUp);
	if (follows && current.follows) toEnd();
	else if (follows !== current.follows) {
		current.follows = follows;
		soon();
	}
	current.anchor = firstSeen();
	look();
});

listen("newer", "click", () => {
	if (hasLine(current) && bottomOf(current.newLine) > bottomOf(log)) return toLine(current);
	newest();
	focusText();
});

function showSide(open) {
	body.classList.toggle("side-open", open);
	$("people-button").ariaExpanded = open;
	setText("told", "");
	setText("leave", "Leave");
}

const isSideOpen = () => body.classList.contains("side-open");

listen("people-button", "click", () => {
	showSide(!isSideOpen());
	if (isSideOpen()) $("side").focus();
});
listen("talk", "pointerdown", () => isSideOpen() && showSide(false));
listen("leave", "click", leave);
listen("device", "click", async () => {
	showSide(true);
	const answer = await ask("api/session/link", json({}));
	if (!answer?.ok) setText("told", answer ? (await told(answer)).text : UNREACHED);
	else {
		setText("told", "Open this link once, on your other device:");
		const link = element("input");
		Object.assign(link, { value: (await answer.json()).link, readOnly: true, ariaLabel: "The link" });
		$("told").append(link);
		link.select();
	}
});
listen("enter", "click", () => showDoor(""));

document.addEventListener("keydown", (event) => {
	if (event.key !== "Escape" || $("chat").hidden) return;
	if (isSideOpen()) {
		showSide(false);
		$("people-button").focus();
	} else {
		newest();
		text.focus();
	}
});

listen("door-form", "submit", (event) => {
	event.preventDefault();
	const link = $("link").value.trim();
	const secret = secretOf(link);
	const host = URL.canParse?.(link) ? new URL(link).host : location.host;
	if (!secret) setText("door-problem", "that is not a whole invitation link: copy it to its end");
	else if (host !== location.host) setText("door-problem", `that link leads to ${host}: open it in the address bar`);
	else {
		$("link").value = "";
		enter(secret);
	}
});

addEventListener("hashchange", () => {
	const secret = secretInAddress();
	if (secret) enter(secret);
});

document.addEventListener("visibilitychange", () => {
	if (document.hidden) {
		rooms.forEach((room) => room.clearNew());
		keepDraft();
	}
	soon();
});

new ResizeObserver(() => current && restore(current, current.anchor)).observe(log);

// In Safari, a telephone's keyboard covers the page.
function fitWindow() {
	const seen = window.visualViewport;
	if (seen.scale > 1.01) return;
	document.documentElement.style.setProperty("--height", `${seen.height}px`);
	window.scrollTo(0, 0);
}
addEventListener("resize", () => session && fit());
for (const event of ["resize", "scroll"]) window.visualViewport?.addEventListener(event, fitWindow);

enter(secretInAddress());
