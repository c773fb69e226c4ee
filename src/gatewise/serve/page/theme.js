// How the page is displayed: the theme (light, dark, or the system's), and the presentation mode.

const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: "system", light: "light", dark: "dark" };

/** The theme is remembered in this browser only. */
export function createTheme(button, store) {
	let current = "auto";
	function set(next, remember = false) {
		current = ORDER.includes(next) ? next : "auto";
		if (current === "auto") delete document.documentElement.dataset.theme;
		else document.documentElement.dataset.theme = current;
		button.setAttribute("aria-label", `Theme: ${NAMES[current]}`);
		try {
			if (remember) localStorage.setItem("gatewise-theme", current);
		} catch {
			// Storage is off: the choice is not kept.
		}
		store.set({ theme: current });
	}
	button.addEventListener("click", () => set(ORDER[(ORDER.indexOf(current) + 1) % ORDER.length], true));
	let stored = null;
	try {
		stored = localStorage.getItem("gatewise-theme");
	} catch {
		// Storage is off.
	}
	set(stored ?? "auto");
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
