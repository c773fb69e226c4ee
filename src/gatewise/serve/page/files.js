// The files of the page's data: next to the page, or in it. An exported page holds them compressed, so that it works when it
// is opened as a file.

/** The bytes of a file. */
export async function readBytes(name) {
	const find = () => document.querySelector(`script[data-file="${name}"]`);
	// While the page loads, a later part of it may be missing, or be there up to its middle.
	if (document.readyState === "loading" && document.querySelector("script[data-file]") && !find()?.nextSibling) {
		await new Promise((done) => addEventListener("DOMContentLoaded", done, { once: true }));
	}
	const inside = find();
	if (inside) {
		const packed = Uint8Array.from(atob(inside.textContent), (letter) => letter.charCodeAt(0));
		return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
	}
	const response = await fetch(name);
	if (!response.ok) throw new Error(`${name} is missing: the server answered ${response.status}.`);
	return response.arrayBuffer();
}

export const readText = async (name) => new TextDecoder().decode(await readBytes(name));
