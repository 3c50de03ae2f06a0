// The stream of events: it comes back by itself, from where it was.

const SLEPT = 30_000; // a page that was asleep for longer does not trust its connection
const LONGEST_PAUSE = 15_000;
const EVENTS = ["hello", "message", "people", "connection", "missed", "live", "slow", "closing", "revoked"];

export class Stream {
  /**
   * @param on.event called with name, data and position of each event
   * @param on.state called with "connecting", "reconnecting", "offline" or "live", and what the server says about it
   * @param on.out called when the server does not know this browser (any more)
   */
  constructor(on) {
    this.on = on;
    this.position = "";
    this.source = null;
    this.live = false;
    this.ended = false;
    this.attempts = 0;
    this.timer = 0;
    this.hiddenAt = 0;
    let tick = Date.now();
    setInterval(() => {
      const now = Date.now();
      if (now - tick > SLEPT + 10_000 && !document.hidden) this.open();
      tick = now;
    }, 10_000);
    addEventListener("online", () => this.open());
    addEventListener("offline", () => this.lost());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.hiddenAt = Date.now();
      else if (!this.live || Date.now() - this.hiddenAt > SLEPT) this.open();
    });
  }

  /** Open it, again if it is open. */
  open() {
    if (this.ended) return;
    this.close();
    const source = new EventSource(`api/events${this.position && `?after=${encodeURIComponent(this.position)}`}`);
    this.source = source;
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        if (source === this.source) this.arrive(name, event);
      });
    }
    source.onerror = () => {
      if (source !== this.source) return;
      this.lost();
      if (source.readyState === EventSource.CLOSED) this.refused();
    };
  }

  /** Close it for now. */
  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    this.live = false;
  }

  /** Close it for good. */
  end() {
    this.ended = true;
    this.close();
  }

  arrive(name, event) {
    if (event.lastEventId) this.position = event.lastEventId;
    const data = JSON.parse(event.data);
    if (name === "live") {
      this.live = true;
      this.attempts = 0;
    }
    if (name === "revoked") this.end();
    this.on.event(name, data, event.lastEventId);
    if (name === "live") this.on.state("live");
    if (name === "closing") {
      this.close();
      this.on.state("reconnecting", data.text);
      this.later(1000 + 2000 * Math.random()); // not all pages at once
    }
  }

  lost(text) {
    this.live = false;
    this.on.state(navigator.onLine ? "reconnecting" : "offline", text);
  }

  later(pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), pause);
  }

  /** The browser does not try again by itself after an answer that is an error, and does not say which. */
  async refused() {
    const source = this.source;
    this.attempts += 1;
    let pause = Math.min(LONGEST_PAUSE, 500 * 2 ** Math.min(this.attempts, 6)) * (0.5 + Math.random());
    try {
      const known = await fetch("api/session", { cache: "no-store" });
      if (source !== this.source) return;
      if (known.status === 401) {
        this.end();
        this.on.out(await told(known));
        return;
      }
      if (known.ok && this.attempts > 1) {
        const stop = new AbortController();
        const answer = await fetch("api/events?last=0", { cache: "no-store", signal: stop.signal });
        if (!answer.ok) {
          const { text, wait } = await told(answer);
          if (source === this.source) this.lost(text);
          pause = Math.max(pause, wait);
        }
        stop.abort();
      }
    } catch {
      // not reached: later
    }
    if (source === this.source) this.later(pause);
  }
}

/** What an answer that is an error says: {status, text, wait: milliseconds}. */
export async function told(answer) {
  let text = `the server answers ${answer.status}`;
  try {
    const { error, hint } = await answer.json();
    if (error) text = hint ? `${error}: ${hint}` : error;
  } catch {
    // a proxy's page
  }
  return { status: answer.status, text, wait: 1000 * (Number(answer.headers.get("retry-after")) || 0) };
}
