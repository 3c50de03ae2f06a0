// What was written here and is not in the room yet. It outlasts a reload; the id stays the same however often a message is
// sent, so that everybody sees it once.

import * as memory from "./memory.js";
import { told } from "./stream.js";

const ANSWER = 30_000; // milliseconds to wait for an answer
const RETURN = 10_000; // ... and then for the message to come back by the stream
const FORGOTTEN = 600_000; // after which a message is not sent again without being asked for

export class Outbox {
  /**
   * @param key where the messages are kept
   * @param url where they are sent to
   * @param on.changed called with a message whose state is another
   * @param on.out called when the server does not know this browser any more
   * @param on.overdue called when a confirmed message did not come back
   * @param on.held whether to wait, since the room cannot be reached
   */
  constructor(key, url, on) {
    this.key = key;
    this.url = url;
    this.on = on;
    this.items = new Map();
    this.running = false;
    this.closed = false;
    this.wake = () => {};
  }

  /** What was not confirmed before the page was loaded again, oldest first. */
  restore() {
    const kept = memory
      .keys(this.key)
      .map((key) => memory.read(key))
      .filter((item) => item && typeof item.text === "string" && typeof item.id === "string" && !this.items.has(item.id));
    kept.sort((one, other) => one.time - other.time);
    for (const item of kept) {
      const old = Date.now() - item.time > FORGOTTEN;
      this.put({
        ...item,
        state: old ? "failed" : "waiting",
        reason: old ? "it was not confirmed when the page was closed" : "",
      });
    }
  }

  write(text) {
    const item = { id: memory.newId(), text, time: Date.now(), state: "waiting", reason: "" };
    memory.write(this.key + item.id, { id: item.id, text, time: item.time });
    this.put(item);
    this.run();
  }

  put(item) {
    this.items.set(item.id, { attempts: 0, ...item });
    this.on.changed(this.items.get(item.id));
  }

  has(id) {
    return this.items.has(id);
  }

  /** It is in the room, or is not to be sent. Returns whether it was here. */
  remove(id) {
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
    item.state = state;
    item.reason = reason;
    this.on.changed(item);
  }

  /** Send what waits, one after the other. */
  async run() {
    this.wake();
    if (this.running) return;
    this.running = true;
    while (!this.closed) {
      const item = [...this.items.values()].find((each) => each.state === "waiting");
      if (!item) break;
      const pause = await this.send(item);
      if (pause) {
        await new Promise((resolve) => {
          this.wake = resolve;
          setTimeout(resolve, pause);
        });
      }
    }
    this.running = false;
  }

  /** Returns the milliseconds to wait before it is tried again; 0 if the matter is settled. */
  async send(item) {
    item.attempts += 1;
    const pause = Math.min(15_000, 500 * 2 ** Math.min(item.attempts, 6)) * (0.5 + Math.random());
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), ANSWER);
    let answer;
    try {
      answer = await fetch(this.url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ text: item.text, id: item.id }),
        signal: stop.signal,
      });
    } catch {
      this.become(item, "waiting", "waits for the connection");
      return pause;
    } finally {
      clearTimeout(timer);
    }
    if (answer.ok) {
      const { routed } = await answer.json().catch(() => ({}));
      memory.remove(this.key + item.id);
      this.become(item, "confirmed", routed === false ? "nobody else was there to read it" : "");
      item.timer = setTimeout(() => this.on.overdue(), RETURN);
      return 0;
    }
    const { status, text, wait } = await told(answer);
    if (status === 401) {
      this.become(item, "failed", text);
      this.on.out({ status, text });
      return 0;
    }
    if (status === 429 || ((status === 502 || status === 503 || status === 504) && (wait || this.on.held()))) {
      this.become(item, "waiting", status === 429 ? `waits: ${text}` : text);
      return Math.max(wait, pause);
    }
    this.become(item, "failed", text);
    return 0;
  }
}
