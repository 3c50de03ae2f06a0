// What is in a text, without any page: links, one's own name, lines, colours.

// As in the terminal: printable ASCII alone; what ends a sentence ends no link.
const LINK = /https?:\/\/[A-Za-z0-9[][^\s"'<>`\\^{|}\x7f-\u{10ffff}]*[A-Za-z0-9/#=&_~%+\-$@*]/gu;
const BEFORE_LINK = /[\p{L}\p{N}_@/.-]$/u;
const WORD_ENDS = /[\p{L}\p{N}_]$/u;
const WORD_BEGINS = /^[\p{L}\p{N}_]/u;

export function isHonest(link) {
	try {
		const url = new URL(link);
		const read = link.split(/[/?#]/, 3)[2].toLowerCase();
		return !url.username && !url.password && read === url.host;
	} catch {
		return false;
	}
}

export function mentionsOf(name) {
	const pattern = name && new RegExp(name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");
	return (text) =>
		[...(pattern ? text.matchAll(pattern) : [])].flatMap(({ 0: found, index }) => {
			const end = index + found.length;
			if (WORD_ENDS.test(text.slice(Math.max(0, index - 2), index)) || WORD_BEGINS.test(text.slice(end, end + 2))) return [];
			return [[index - (text[index - 1] === "@"), end]];
		});
}

/** A text in parts: ["text" | "link" | "you", string], which together are the text. */
export function parts(text, mentions) {
	const found = [];
	const plain = (piece) => {
		let at = 0;
		for (const [start, end] of mentions(piece)) {
			if (start > at) found.push(["text", piece.slice(at, start)]);
			found.push(["you", piece.slice(Math.max(at, start), end)]);
			at = end;
		}
		if (at < piece.length) found.push(["text", piece.slice(at)]);
	};
	let at = 0;
	for (const { 0: link, index } of text.includes("://") ? text.matchAll(LINK) : []) {
		const end = index + link.length;
		const isPart = BEFORE_LINK.test(text.slice(Math.max(0, index - 2), index)) || WORD_BEGINS.test(text.slice(end, end + 2));
		if (isPart || link.length > 2048 || !isHonest(link)) continue;
		plain(text.slice(at, index));
		found.push(["link", link]);
		at = end;
	}
	plain(text.slice(at));
	return found;
}

export const lines = (text, columns) =>
	text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)), 0);

const bytes = (text) => new TextEncoder().encode(text);

export const size = (text) => bytes(text).length;

function crc32(text) {
	let sum = ~0;
	for (const byte of bytes(text)) {
		sum ^= byte;
		for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
	}
	return ~sum >>> 0;
}

const COLOURS = 12;

export class Colours extends Map {
	of(name) {
		if (!this.has(name)) {
			if (this.size >= 1000) this.clear();
			let colour = crc32(name) % COLOURS;
			const taken = new Set(this.values());
			while (taken.size < COLOURS && taken.has(colour)) colour = (colour + 1) % COLOURS;
			this.set(name, colour);
		}
		return this.get(name);
	}
}

export const number = (count) => count.toLocaleString("en");

export const many = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;
