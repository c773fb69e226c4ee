// Light, dark, or as the system has it; remembered on this machine alone.

const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: "as the system has it", light: "light", dark: "dark" };

export function createTheme(button, store) {
	let now = "auto";
	function set(next, keep = false) {
		now = ORDER.includes(next) ? next : "auto";
		if (now === "auto") delete document.documentElement.dataset.theme;
		else document.documentElement.dataset.theme = now;
		button.setAttribute("aria-label", `Theme: ${NAMES[now]}`);
		try {
			if (keep) localStorage.setItem("gatewise-theme", now);
		} catch {
			// Storage is off: the choice lasts as long as the page.
		}
		store.set({ theme: now });
	}
	const turn = () => set(ORDER[(ORDER.indexOf(now) + 1) % ORDER.length], true);
	button.addEventListener("click", turn);
	let kept = null;
	try {
		kept = localStorage.getItem("gatewise-theme");
	} catch {
		// As above.
	}
	set(kept ?? "auto");
	return { set, turn };
}
