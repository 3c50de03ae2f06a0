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

export const keys = (start) =>
	Object.keys(localStorage)
		.filter((key) => key.startsWith(PREFIX + start))
		.map((key) => key.slice(PREFIX.length));

/** 128 random bits. crypto.randomUUID is only there with TLS. */
export const newId = () =>
	Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
