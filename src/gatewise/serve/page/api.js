// Requests to the server. Every failure is an Error with one line for a person.

async function request(path, options, read = (response) => response.json()) {
	let response;
	try {
		response = await fetch(path, { cache: "no-store", ...options });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Error("Cannot reach the server.");
	}
	let body = null;
	try {
		body = await (response.ok ? read(response) : response.json());
	} catch (error) {
		if (error.name === "AbortError") throw error;
	}
	if (response.ok && body) return body;
	throw Object.assign(
		new Error(
			body?.error?.message ?? (response.ok ? "The answer is incomplete." : `The server answered ${response.status}.`),
		),
		{ status: response.status },
	);
}

const posted = (body, signal) => ({
	method: "POST",
	headers: { "content-type": "application/json" },
	body: JSON.stringify(body),
	signal,
});

export const api = {
	explain: (body, signal) => request("explain", posted(body, signal)),
	forecast: (body) => request("forecast", posted(body)),
	/** Server-sent events, as text. */
	stream: (body) => request("stream", posted(body), (response) => response.text()),
	/** name: of a served model; null for the first one. */
	model: (name) => request(name === null ? "model" : `model?${new URLSearchParams({ model: name })}`),
	unit: (unit, layer, model) =>
		request(`units/${unit}?${new URLSearchParams({ layer, ...(model === null ? {} : { model }) })}`),
};
