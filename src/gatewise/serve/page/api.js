// Requests to the server. Every failure is an Error with one line for a person.

async function request(path, options) {
	let response;
	try {
		response = await fetch(path, { cache: "no-store", ...options });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Error("Cannot reach the server.");
	}
	let body = null;
	try {
		body = await response.json();
	} catch (error) {
		if (error.name === "AbortError") throw error;
	}
	if (response.ok && body) return body;
	throw new Error(body?.error?.message ?? `The server answered ${response.status}.`);
}

export const api = {
	explain: (body, signal) =>
		request("explain", {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(body),
			signal,
		}),
	model: () => request("model"),
	unit: (unit, layer) => request(`units/${unit}?${new URLSearchParams({ layer })}`),
};
