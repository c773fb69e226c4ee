// The sentence is the editor: a textarea of the same size and type lies above the coloured words. The caret selects a word.

/** box: the textarea, inside the element of the words. onType(text), onSelect(word), onHover(word or null). view: of
 * createTextView. Returns show(text), of a text that was not typed here. */
export function createEditor(box, view, { onType, onSelect, onHover }) {
	const place = () => {
		const t = view.wordAt(box.selectionStart);
		if (t !== null && box.selectionStart === box.selectionEnd) onSelect(t);
	};
	box.addEventListener("input", () => {
		view.type(box.value);
		onType(box.value);
	});
	box.addEventListener("click", place);
	box.addEventListener("keyup", (event) => /^(Arrow|Home|End|Page)/.test(event.key) && place());
	box.addEventListener(
		"pointermove",
		(event) => event.pointerType === "mouse" && !event.buttons && onHover(view.wordUnder(event.clientX, event.clientY)),
	);
	box.addEventListener("pointerleave", () => onHover(null));
	return (text) => {
		box.value = text;
		view.type(text);
	};
}
