// The messages of a room, as rows.

import * as memory from "./memory.js";
import { Colours, lines, many, parts } from "./text.js";

const MOST_ROWS = 2000;
const TOGETHER = 5 * 60_000; // messages of one sender within this time stand under one name
const FOLDED_LINES = 20;

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const DAY = { weekday: "long", day: "numeric", month: "long" };

function dayOf(date) {
	const year = date.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
	return date.toLocaleDateString("en-GB", { ...DAY, ...year });
}

export function element(tag, classes = "", ...content) {
	const made = document.createElement(tag);
	if (classes) made.className = classes;
	made.append(...content);
	return made;
}

export function button(classes, text, click) {
	const made = element("button", classes, text);
	made.addEventListener("click", click);
	return made;
}

/** Links lead to what is read in them, and to nothing else. */
function shown([kind, piece]) {
	if (kind === "text") return piece;
	if (kind === "you") return element("mark", "you", piece);
	return Object.assign(element("a", "", piece), { href: piece, target: "_blank", rel: "noopener noreferrer nofollow" });
}

const line = (classes, text) => element("div", classes, element("span", "", text));

export class Room {
	constructor(name, page) {
		this.name = name;
		this.page = page;
		this.url = `api/rooms/${encodeURIComponent(name)}/messages`;
		this.key = `${page.me.key}/${encodeURIComponent(name)}/`;
		this.people = null;
		this.connected = true;
		this.trouble = "";
		this.top = element("div", "top");
		this.rows = element("div", "rows");
		this.waiting = element("div", "waiting");
		this.waiting.setAttribute("aria-live", "off");
		this.colours = new Colours();
		this.known = new Set();
		this.about = new WeakMap();
		this.mine = new Set(memory.read(`${this.key}mine`));
		this.left = memory.read(`${this.key}read`); // the last message that was read: id and time
		this.unread = 0;
		this.named = 0;
		this.queue = []; // what is shown together
		this.follows = true; // what comes
		this.filled = false;
		this.complete = false;
	}

	message(message) {
		if (message.id && this.known.has(message.id)) this.settle(message.id);
		else this.queue.push(message);
		if (message.id) this.known.add(message.id);
	}

	/** What the page itself says, at this place. */
	note(note, kind = "") {
		this.queue.push({ note, kind });
	}

	flush() {
		const { queue } = this;
		if (!queue.length) return;
		this.queue = [];
		const made = element("div");
		let last = this.rows.lastElementChild;
		const add = (row) => {
			made.append(row);
			last = row;
		};
		this.page.keep(this, () => {
			for (const each of queue) {
				if (each.note) {
					const note = line(`note ${each.kind}`, each.note);
					this.about.set(note, { day: this.about.get(last)?.day });
					add(note);
					continue;
				}
				const row = this.row(each);
				if (this.isOtherDay(last, row)) add(this.dayRow(row));
				if (this.count(row)) add(this.newLine);
				this.join(last, row);
				add(row);
				this.settle(each.id);
			}
			this.rows.append(...made.childNodes);
			this.prune();
		});
		this.page.changed();
	}

	isOtherDay(above, row) {
		return this.about.get(row).day !== this.about.get(above)?.day;
	}

	dayRow(row) {
		const { day } = this.about.get(row);
		const made = line("day", day);
		this.about.set(made, { day });
		return made;
	}

	join(above, row) {
		const [one, other] = [this.about.get(above), this.about.get(row)];
		const same = one?.sender === other.sender && Math.abs(other.time - one.time) < TOGETHER;
		row.classList.toggle("same", same);
	}

	/** Count what is not read; returns whether the line "new" comes before it. */
	count(row) {
		const { id, mine, time, day } = this.about.get(row);
		const { left } = this;
		let isNew = !mine && !this.page.isRead(this);
		if (!this.filled) {
			isNew = !mine && left && (this.isAfterLeft || time > left.time);
			if (id === left?.id) {
				this.isAfterLeft = true;
				isNew = false;
			}
		}
		if (!isNew) return false;
		this.unread += 1;
		if (row.classList.contains("mention")) this.named += 1;
		if (this.unread > 1) return false;
		this.newLine?.remove();
		this.newLine = line("new-line", "new");
		this.about.set(this.newLine, { day });
		return true;
	}

	prune() {
		const count = this.rows.childElementCount;
		if (count <= MOST_ROWS * (this.follows ? 1 : 1.5)) return;
		for (const row of [...this.rows.children].slice(0, count - MOST_ROWS)) {
			this.known.delete(row.dataset.id);
			row.remove();
		}
		this.rows.firstChild.classList.remove("same");
		this.complete = false;
		this.oldest = undefined;
		this.top.replaceChildren();
	}

	read() {
		this.unread = 0;
		this.named = 0;
		const { id, time } = this.about.get(this.rows.lastElementChild) ?? {};
		if (!time || (id === this.left?.id && time === this.left.time)) return;
		this.left = { id, time };
		memory.write(`${this.key}read`, this.left);
	}

	clearNew() {
		if (!this.unread) this.newLine?.remove();
	}

	/** Where the broker checks names, a name that it has not checked has a mark. */
	isMine({ id, username, mark }) {
		return username === this.page.me.username && (!mark || this.mine.has(id));
	}

	row(message) {
		const mine = this.isMine(message);
		const time = Date.parse(message.sent_at) || Date.now();
		const row = element("div", mine ? "message mine" : "message");
		row.dataset.id = message.id ?? "";
		row.append(this.who(message, time), ...this.text(message.shown ?? message.text, row));
		if (mine) row.setAttribute("aria-live", "off");
		row.classList.toggle("mention", row.querySelector("mark") !== null);
		const sender = JSON.stringify([message.username, message.account, message.mark, mine]);
		this.about.set(row, { id: message.id, sender, time, mine, day: dayOf(new Date(time)) });
		return row;
	}

	nameOf({ name, mark, username = name }) {
		const made = [element("bdi", `name c${this.colours.of(username ?? "")}`, name)];
		return mark ? [...made, element("span", "mark", mark)] : made;
	}

	who(message, time) {
		const at = element("time", "", TIME.format(time));
		at.dateTime = new Date(time).toISOString();
		return element("div", "who", ...this.nameOf(message), " ", at);
	}

	text(text, row) {
		const whole = text.replace(/\n+$/, "");
		const made = element("div", "text", ...parts(whole, row.matches(".mine") ? () => [] : this.page.mentions).map(shown));
		made.dir = "auto";
		const count = lines(whole, this.page.columns());
		if (count <= FOLDED_LINES) return [made];
		const more = button("more", "", () => this.page.keep(this, fold));
		const fold = () => {
			const folded = made.classList.toggle("folded");
			more.textContent = folded ? `Show all ${many(count, "line")}` : "Show less";
			more.setAttribute("aria-expanded", String(!folded));
			if (folded) row.scrollIntoView({ block: "nearest" });
		};
		fold();
		return [made, more];
	}

	writtenRow(id) {
		return [...this.waiting.children].find((each) => each.dataset.id === id);
	}

	showWritten({ id, text, time, state, reason }) {
		if (!this.mine.has(id)) {
			this.mine = new Set([...this.mine, id].slice(-500));
			memory.write(`${this.key}mine`, [...this.mine]);
		}
		const row = element("div", "message mine");
		row.dataset.id = id;
		row.classList.toggle("pending", state === "waiting");
		row.classList.toggle("failed", state === "failed");
		row.append(this.who({ name: this.page.me.username }, time), ...this.text(text, row));
		if (state === "failed") {
			const why = element("span", "reason", `Not sent: ${reason.replace(/^not sent: /, "")}`);
			const again = button("again", "Send again", () => this.page.outbox(this).again(id));
			const remove = button("remove", "Remove", () => this.settle(id));
			row.append(element("div", "state", why, again, remove));
		} else if (reason) row.append(element("div", "state", reason));
		this.page.keep(this, () => {
			const known = this.writtenRow(id);
			if (known) known.replaceWith(row);
			else this.waiting.append(row);
		});
		this.page.changed();
	}

	/** It is in the room, or is not to be sent. */
	settle(id) {
		if (id && this.page.outbox(this).remove(id)) this.page.keep(this, () => this.writtenRow(id)?.remove());
	}

	async older() {
		if (this.loading || this.complete || !this.filled) return;
		const first = [...this.rows.children].find((each) => (this.oldest ? each.matches(".message") : each.dataset.id));
		if (!first) return;
		if (this.rows.childElementCount >= MOST_ROWS) {
			this.begin("Older messages are not shown");
			return;
		}
		this.loading = true;
		const found = await this.page.get(`${this.url}?last=50&before=${encodeURIComponent(this.oldest ?? first.dataset.id)}`);
		this.loading = false;
		if (!found) return;
		const messages = found.messages.filter((each) => !each.id || !this.known.has(each.id));
		this.oldest = found.first;
		if (!found.more) this.begin("No older messages");
		if (messages.length) this.page.keep(this, () => this.prepend(messages, first));
	}

	begin(text) {
		this.complete = true;
		this.top.textContent = text;
	}

	prepend(messages, first) {
		while (this.rows.firstElementChild !== first) this.rows.firstElementChild.remove();
		const made = element("div");
		let last = null;
		for (const each of messages) {
			if (each.id) this.known.add(each.id);
			const row = this.row(each);
			if (this.isOtherDay(last, row)) made.append(this.dayRow(row));
			this.join(last, row);
			made.append(row);
			last = row;
		}
		if (this.isOtherDay(last, first)) made.append(this.dayRow(first));
		this.rows.prepend(...made.childNodes);
	}
}
