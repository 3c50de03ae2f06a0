// What was written here and is not in the room yet. A message keeps its id however often it is sent.

import * as memory from "./memory.js";
import { backoff, json, told } from "./stream.js";

const ANSWER = 30_000; // milliseconds to wait for an answer
const RETURN = 10_000; // ... for it to come back
const FORGOTTEN = 600_000; // after which a message is not sent again by itself

export class Outbox {
	items = new Map();
	wake = () => {};

	/** `on`: changed(item), out(told), overdue(): it did not come back, held(): whether there is no broker. */
	constructor(key, url, on) {
		this.key = key;
		this.url = url;
		this.on = on;
	}

	restore(known) {
		const kept = memory.keys(this.key).map(memory.read).filter((item) => item?.id && item.text && !this.items.has(item.id));
		kept.sort((one, other) => one.time - other.time);
		for (const item of kept) {
			if (known.has(item.id)) {
				memory.remove(this.key + item.id);
				continue;
			}
			const old = Date.now() - item.time > FORGOTTEN;
			this.put(item, old ? "failed" : "waiting", old ? "it was not confirmed before the page was closed" : "");
		}
	}

	write(text) {
		const item = { id: memory.newId(), text, time: Date.now() };
		memory.write(this.key + item.id, item);
		this.put(item, "waiting");
		this.run();
	}

	put(item, state, reason) {
		this.items.set(item.id, item);
		this.become(item, state, reason);
	}

	remove(id) {
		if (!this.items.has(id)) return false;
		memory.remove(this.key + id);
		clearTimeout(this.items.get(id)?.timer);
		return this.items.delete(id);
	}

	again(id) {
		const item = this.items.get(id);
		if (!item || this.closed) return;
		item.attempts = 0;
		this.become(item, "waiting");
		this.run();
	}

	close(reason) {
		this.closed = true;
		for (const item of this.items.values()) if (item.state === "waiting") this.become(item, "failed", reason);
		this.wake();
	}

	become(item, state, reason = "") {
		if (!this.items.has(item.id)) return;
		Object.assign(item, { state, reason });
		this.on.changed(item);
	}

	async run() {
		this.wake();
		if (this.running) return;
		this.running = true;
		let item;
		while (!this.closed && (item = [...this.items.values()].find((each) => each.state === "waiting"))) {
			const pause = await this.send(item);
			if (!pause) continue;
			await new Promise((resolve) => {
				this.wake = resolve;
				setTimeout(resolve, pause);
			});
		}
		this.running = false;
	}

	async send(item) {
		item.attempts = (item.attempts ?? 0) + 1;
		const pause = backoff(item.attempts);
		try {
			const answer = await fetch(this.url, {
				...json({ text: item.text, id: item.id }),
				signal: AbortSignal.timeout(ANSWER),
			});
			if (answer.ok) {
				const { routed } = await answer.json();
				memory.remove(this.key + item.id);
				this.become(item, "confirmed", routed === false ? "nobody else was here to read it" : "");
				if (this.items.has(item.id)) item.timer = setTimeout(this.on.overdue, RETURN);
				return 0;
			}
			const why = await told(answer);
			const { status, text, wait } = why;
			if (status === 429 || status === 504 || (status >= 502 && status < 504 && (wait || this.on.held()))) {
				this.become(item, "waiting", `waiting: ${text}`);
				return Math.max(wait, pause);
			}
			this.become(item, "failed", text);
			if (status === 401) this.on.out(why);
			return 0;
		} catch {
			this.become(item, "waiting", "waiting for the connection");
			return pause;
		}
	}
}
