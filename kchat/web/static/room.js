// The messages of a room, as rows.

import * as memory from "./memory.js";
import { ask } from "./stream.js";
import { Colours, lines, many, parts } from "./text.js";

const MOST_ROWS = 2000;
const TOGETHER = 5 * 60_000; // messages of one sender within this time stand under one name
const FOLDED_LINES = 20;

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

function dayOf(date) {
	const year = date.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
	return date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", ...year });
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

function shown([kind, piece]) {
	if (kind === "text") return piece;
	if (kind === "you") return element("mark", "you", piece);
	return Object.assign(element("a", "", piece), { href: piece, target: "_blank", rel: "noopener noreferrer nofollow" });
}

const line = (classes, text) => element("div", classes, element("span", "", text));

export class Room {
	people = null;
	connected = true;
	trouble = "";
	top = element("div", "top");
	rows = element("div", "rows");
	waiting = element("div", "waiting");
	colours = new Colours();
	known = new Set();
	queue = [];
	unread = 0;
	named = 0;
	follows = true;
	filled = false;
	complete = false;

	constructor(name, page) {
		this.name = name;
		this.page = page;
		this.url = `api/rooms/${encodeURIComponent(name)}/messages`;
		this.key = `${page.me.key}/${encodeURIComponent(name)}/`;
		this.mine = new Set(memory.read(`${this.key}mine`));
		this.left = memory.read(`${this.key}read`); // the last message that was read: id and time
		this.waiting.ariaLive = "off";
	}

	message(message) {
		if (message.id && this.known.has(message.id)) this.settle(message.id);
		else this.queue.push(message);
		if (message.id) this.known.add(message.id);
	}

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
					note.about = { day: last?.about.day };
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
		return row.about.day !== above?.about.day;
	}

	dayRow(row) {
		const made = line("day", row.about.day);
		made.about = { day: row.about.day };
		return made;
	}

	join(above, row) {
		const { sender, time } = row.about;
		row.classList.toggle("same", above?.about.sender === sender && Math.abs(time - above.about.time) < TOGETHER);
	}

	count(row) {
		const { id, mine, time, day } = row.about;
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
		this.tally(row);
		if (this.unread > 1) return false;
		this.lineTime = this.filled ? Infinity : left.time;
		this.newLine?.remove();
		this.newLine = line("new-line", "new");
		this.newLine.about = { day };
		return true;
	}

	tally(row) {
		this.unread += 1;
		if (row.matches(".mention")) this.named += 1;
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
		const { id, time } = this.rows.lastElementChild?.about ?? {};
		if (!time || (id === this.left?.id && time === this.left.time)) return;
		this.left = { id, time };
		memory.write(`${this.key}read`, this.left);
	}

	clearNew() {
		if (!this.unread) this.newLine?.remove();
	}

	row(message) {
		const mine = message.username === this.page.me.username && (!message.mark || this.mine.has(message.id));
		const time = Date.parse(message.sent_at) || Date.now();
		const row = element("div", mine ? "message mine" : "message");
		row.dataset.id = message.id ?? "";
		row.append(this.who(message, time), ...this.text(message.shown ?? message.text, row));
		if (mine) row.ariaLive = "off";
		row.classList.toggle("mention", row.querySelector("mark") !== null);
		const sender = JSON.stringify([message.username, message.account, message.mark, mine]);
		row.about = { id: message.id, sender, time, mine, day: dayOf(new Date(time)) };
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
			more.ariaExpanded = !folded;
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
			const again = button("again", "Send again", () => this.outbox.again(id));
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

	settle(id) {
		if (id && this.outbox.remove(id)) this.page.keep(this, () => this.writtenRow(id)?.remove());
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
		const answer = await ask(`${this.url}?last=50&before=${encodeURIComponent(this.oldest ?? first.dataset.id)}`);
		const found = answer?.ok ? await answer.json().catch(() => 0) : { messages: [] };
		this.loading = false;
		if (!found || !answer || answer.status >= 429) return;
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
		const rows = messages.map((each) => this.row(each));
		const isTop = this.newLine?.nextSibling === first; // then it moves up, to the first one that is unread
		const unread = isTop ? rows.filter(({ about }) => !about.mine && about.time > this.lineTime) : [];
		if (this.unread) unread.forEach((row) => this.tally(row));
		while (this.rows.firstElementChild !== first) this.rows.firstElementChild.remove();
		const made = element("div");
		let last = null;
		for (const row of rows) {
			this.known.add(row.about.id);
			if (this.isOtherDay(last, row)) made.append(this.dayRow(row));
			if (row === unread[0]) made.append(this.newLine);
			this.join(last, row);
			made.append(row);
			last = row;
		}
		if (this.isOtherDay(last, first)) made.append(this.dayRow(first));
		if (isTop && !unread.length) made.append(this.newLine);
		this.rows.prepend(...made.childNodes);
		this.page.changed();
	}
}
