// The server's answers. An error is always a Problem: a line for a person, and the field that it is about.

export class Problem extends Error {
	constructor(line, field = null, code = "") {
		super(line);
		this.field = field;
		this.code = code;
	}
}

async function ask(path, options) {
	let reply;
	try {
		reply = await fetch(path, { cache: "no-store", ...options });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Problem("The server has gone. What you see belongs to an earlier moment.", null, "offline");
	}
	let body = null;
	try {
		body = await reply.json();
	} catch (error) {
		if (error.name === "AbortError") throw error;
	}
	if (reply.ok && body) return body;
	const error = body?.error ?? {};
	throw new Problem(error.message ?? `The server answered ${reply.status}.`, error.field ?? null, error.code ?? "");
}

export const source = {
	live: true,
	explain: (request, signal) =>
		ask("explain", {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(request),
			signal,
		}),
	model: () => ask("model"),
	unit(unit, layer, direction) {
		const query = new URLSearchParams({ layer, direction });
		return ask(`units/${unit}?${query}`);
	},
};
