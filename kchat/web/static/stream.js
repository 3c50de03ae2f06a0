// The stream of events: it comes back by itself, from where it was.

const SILENT = 55_000; // milliseconds; the server says every 20 s that it is here
const SLEPT = 30_000; // a page that comes back to sight trusts its connection for less long
const EVENTS = ["hello", "message", "people", "connection", "missed", "live", "slow", "closing", "revoked", "here"];

export const backoff = (attempt) => Math.min(15_000, 500 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random());

export const json = (value) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });

/** The server's answer; null for none. */
export const ask = (url, options) => fetch(url, { cache: "no-store", ...options }).catch(() => null);

export async function told(answer) {
	const { error, hint } = await answer.json().catch(() => ({}));
	const text = error ? error + (hint ? `: ${hint}` : "") : `the server answers ${answer.status}`;
	return { status: answer.status, text, wait: 1000 * (Number(answer.headers.get("retry-after")) || 0) };
}

export class Stream {
	position = "";
	live = false;
	attempts = 0;

	/** `on`: event(name, data), state("connecting" | "reconnecting" | "offline" | "live", text), out(told). */
	constructor(on) {
		this.on = on;
		const isSilent = (most) => Date.now() - this.heardAt > most;
		setInterval(() => {
			if (!this.live || !isSilent(SILENT)) return;
			this.lost();
			this.open();
		}, 10_000);
		addEventListener("online", () => this.open());
		addEventListener("offline", () => this.lost());
		addEventListener("pagehide", () => this.close());
		addEventListener("pageshow", (event) => event.persisted && this.open());
		document.addEventListener("visibilitychange", () => {
			if (!document.hidden && (!this.live || isSilent(SLEPT))) this.open();
		});
	}

	open() {
		if (this.ended) return;
		this.close();
		const source = new EventSource(`api/events${this.position && `?after=${encodeURIComponent(this.position)}`}`);
		this.source = source;
		for (const name of EVENTS) source.addEventListener(name, (event) => source === this.source && this.arrive(name, event));
		source.onerror = (event) => {
			if (source !== this.source || event.data !== undefined) return;
			this.lost();
			if (source.readyState === EventSource.CLOSED) this.refused(source);
		};
	}

	close() {
		clearTimeout(this.timer);
		this.source?.close();
		this.source = null;
		this.live = false;
	}

	end() {
		this.ended = true;
		this.close();
	}

	arrive(name, { data, lastEventId }) {
		this.heardAt = Date.now();
		if (name === "here") return;
		if (lastEventId) this.position = lastEventId;
		const value = JSON.parse(data);
		if (name === "live") {
			this.live = true;
			this.attempts = 0;
		} else if (name === "revoked") this.end();
		this.on.event(name, value);
		if (name === "live") this.on.state(name);
		if (name === "closing") {
			this.close();
			this.lost(value.text);
			this.later(1000 + 2000 * Math.random());
		}
	}

	lost(text) {
		this.live = false;
		if (!this.ended) this.on.state(navigator.onLine ? "reconnecting" : "offline", text);
	}

	later(pause) {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.open(), pause);
	}

	async refused(source) {
		let pause = backoff((this.attempts += 1));
		try {
			const stop = new AbortController();
			const answer = await fetch("api/events?last=0", { cache: "no-store", signal: stop.signal });
			if (answer.ok) stop.abort();
			else {
				const why = await told(answer);
				if (source !== this.source) return;
				if (why.status === 401) {
					this.end();
					this.on.out(why);
				} else this.lost(why.text);
				pause = Math.max(pause, why.wait);
			}
		} catch {
			// not reached
		}
		if (source === this.source && !this.ended) this.later(pause);
	}
}
