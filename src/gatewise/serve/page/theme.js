// How the page is displayed: the theme (light, dark, or the system's), and the presentation mode.

const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: "system", light: "light", dark: "dark" };

/** The theme is remembered in this browser only, and not at all where storage is off. */
function remembered(use) {
	try {
		return use(localStorage);
	} catch {
		return null;
	}
}

export function createTheme(button, store) {
	function set(theme) {
		document.documentElement.dataset.theme = theme;
		button.setAttribute("aria-label", `Theme: ${NAMES[theme]}`);
		store.set({ theme });
	}
	button.addEventListener("click", () => {
		set(ORDER[(ORDER.indexOf(document.documentElement.dataset.theme) + 1) % ORDER.length]);
		remembered((storage) => storage.setItem("gatewise-theme", document.documentElement.dataset.theme));
	});
	const kept = remembered((storage) => storage.getItem("gatewise-theme"));
	set(ORDER.includes(kept) ? kept : "auto");
}

/** Presentation mode: full screen where the browser allows it. Leaving full screen leaves the mode. */
export function createPresentation(store) {
	document.addEventListener("fullscreenchange", () => {
		if (!document.fullscreenElement && store.get().present) store.set({ present: false });
	});
	return (on = !store.get().present) => {
		store.set({ present: on });
		if (on) document.documentElement.requestFullscreen?.().catch(() => {});
		else if (document.fullscreenElement) document.exitFullscreen();
	};
}
