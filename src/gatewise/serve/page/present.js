// The projector's mode: the whole screen where the browser lets us, and back when it is left by any way.

export function createPresent(store) {
	document.addEventListener("fullscreenchange", () => {
		if (!document.fullscreenElement && store.get().present) store.set({ present: false });
	});
	return (on = !store.get().present) => {
		store.set({ present: on });
		if (on) document.documentElement.requestFullscreen?.().catch(() => {});
		else if (document.fullscreenElement) document.exitFullscreen();
	};
}
