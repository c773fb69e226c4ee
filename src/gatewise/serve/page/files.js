// The files of the page's data: next to the page, or in it. An exported page holds them compressed, so that it works when it
// is opened as a file.

/** The bytes of a file. */
export async function readBytes(name) {
	const inside = document.querySelector(`script[data-file="${name}"]`);
	if (inside) {
		const packed = Uint8Array.from(atob(inside.textContent), (letter) => letter.charCodeAt(0));
		return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
	}
	const response = await fetch(name);
	if (!response.ok) throw new Error(`${name} is missing: the server answered ${response.status}.`);
	return response.arrayBuffer();
}

export const readText = async (name) => new TextDecoder().decode(await readBytes(name));
