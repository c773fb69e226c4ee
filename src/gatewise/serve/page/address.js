// The address of the window always says what is seen: the state, in the part after #.

import { write } from "./url.js";

export function createAddress(store) {
	let mine = location.hash;
	let timer = 0;

	async function of(state = store.get(), extra = {}) {
		const { fragment, long } = await write(state, { model: state.model?.model.fingerprint, ...extra });
		return { url: `${location.origin}${location.pathname}${location.search}#${fragment}`, long };
	}

	async function now(push) {
		const { url } = await of();
		if (url === location.href) return;
		mine = new URL(url).hash;
		history[push ? "pushState" : "replaceState"](null, "", url);
	}

	return {
		of,
		push: () => store.get().model && now(true),
		replace() {
			if (timer || !store.get().model) return;
			timer = setTimeout(() => {
				timer = 0;
				now(false);
			}, 300);
		},
		own: () => location.hash === mine,
	};
}
