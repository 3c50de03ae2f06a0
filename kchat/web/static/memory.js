// What the browser keeps for this page: drafts, what is not sent yet, where one left off. Never the link's secret.

const PREFIX = "kchat/";

export function read(key) {
	try {
		return JSON.parse(localStorage.getItem(PREFIX + key));
	} catch {
		return null;
	}
}

export function write(key, value) {
	try {
		localStorage.setItem(PREFIX + key, JSON.stringify(value));
	} catch {
		// it is full
	}
}

export const remove = (key) => localStorage.removeItem(PREFIX + key);

export function keys(start) {
	return Array.from({ length: localStorage.length }, (_, index) => localStorage.key(index))
		.filter((key) => key.startsWith(PREFIX + start))
		.map((key) => key.slice(PREFIX.length));
}

/** A UUID (RFC 9562, version 4). crypto.randomUUID is only there with TLS. */
export function newId() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
