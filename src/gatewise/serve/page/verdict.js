// The verdict: the biggest thing on the page, with its sum and the name of the account; old and new after a change.

import { el, fmt, put, shown, tiny } from "./dom.js";

const GOOD_NAMES = ["negative positive", "neg pos", "bad good"];

export function createVerdict(root, store) {
	const label = el("span", { class: "label" });
	const number = el("span", { class: "p" });
	const marker = el("span", { class: "marker" });
	const ghost = el("span", { class: "marker old", hidden: true });
	const [left, right] = [el("span", { class: "end" }), el("span", { class: "end" })];
	const bar = el("div", { class: "bar", "aria-hidden": "true" }, el("span", { class: "middle" }), ghost, marker);
	const told = el("p", { class: "toldchange", hidden: true });
	const sum = el("p", { class: "sum" });
	const method = el("select", { "aria-label": "Method of the account", onchange: () => store.set({ method: method.value }) });
	const by = el("select", { "aria-label": "What colours the words", onchange: () => store.set({ by: by.value }) });
	for (const [value, name] of [["account", "the account"], ["unit", "the unit’s memory c"], ["off", "nothing"]]) {
		by.append(el("option", { value }, name));
	}
	const note = el("p", { class: "quiet note" });
	const faith = el("p", { class: "quiet note" });
	const hidden = el("div", { class: "guess", hidden: true });
	const row = el("div", { class: "verdictrow" }, label, number, el("div", { class: "scale" }, left, bar, right));
	const more = el("details", { class: "about" }, el("summary", {}, "What these numbers are"), note, faith);
	const account = el("div", { class: "accountrow" }, el("label", {}, "coloured by ", by), method, sum);
	root.append(row, hidden, told, account, more);

	const slider = el("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Your guess in percent" });
	const guessed = el("output", {}, "50%");
	slider.addEventListener("input", () => put(guessed, `${slider.value}%`));
	const asks = el("label", { class: "asks" });
	const open = el("button", { type: "button", class: "primary" }, "Show the verdict");
	open.addEventListener("click", () => {
		store.set({ guessed: Number(slider.value) / 100, guessOf: store.get().data?.id });
	});
	hidden.append(asks, slider, guessed, open);

	/** Whether the verdict, the line and the tints are to be kept back until someone has guessed. */
	const keptBack = (state) => state.guess && state.data && state.guessOf !== state.data.id;

	function drawMethods(account, model) {
		const wanted = account ? account.methods : Object.keys(model?.faithfulness ?? {});
		if (method.options.length !== wanted.length) {
			method.replaceChildren(...wanted.map((name) => el("option", { value: name })));
		}
		[...method.options].forEach((option, n) => {
			const score = model?.faithfulness[wanted[n]];
			const measured = score ? `, deletion ${fmt(score.comprehensiveness)}` : ", not measured";
			put(option, wanted[n] + measured + (model?.attribution_method === wanted[n] ? " (default)" : ""));
		});
		if (account) method.value = account.method;
		method.hidden = by.hidden = more.hidden = !wanted.length;
		by.parentElement.hidden = !wanted.length;
	}

	function draw(state) {
		const { data, model } = state;
		const back = keptBack(state);
		root.classList.toggle("keptback", Boolean(back));
		hidden.hidden = !back;
		by.value = state.by;
		drawMethods(data?.account, model);
		if (!data) {
			put(label, "–");
			put(number, "");
			for (const node of [told, ghost]) node.hidden = true;
			marker.hidden = true;
			put(sum, "");
			return;
		}
		const { account, changed } = data;
		const verdict = state.early ?? data.verdict; // of the text as it stands now, before the rest has followed
		const labels = data.model.labels.map((name) => shown(name, 24));
		const two = labels.length === 2;
		const towards = shown(verdict.towards, 24);
		put(asks, `Guess first: how sure is the model that this is “${towards}”?`);
		put(label, back ? "?" : shown(verdict.label, 24));
		const good = verdict.label === verdict.towards;
		label.className = `label ${back ? "" : good ? "for" : "against"}`;
		const p = two && !good ? 1 - verdict.p : verdict.p;
		put(number, back ? "" : fmt(p));
		put(left, two ? labels[1 - data.model.labels.indexOf(verdict.towards)] : "other");
		put(right, towards);
		marker.hidden = back;
		marker.style.setProperty("left", `${(100 * verdict.p).toFixed(2)}%`);
		marker.className = `marker ${good ? "for" : "against"}`;
		ghost.hidden = back || !changed;
		drawChange(state, back, p);
		if (back) put(sum, "");
		else if (account && !account.stale) {
			const total = (row) => row.reduce((a, b) => a + b, 0);
			const words = account.parts // with n-grams beside the network, each word's score has two parts
				? `network ${fmt(total(account.parts.network), 2, true)}  n-grams ${fmt(total(account.parts.ngrams) + account.truncated_part, 2, true)}`
				: `words ${fmt(total(account.words), 2, true)}`;
			const left = account.adds_up ? "rounding" : "left out";
			put(sum, `start ${fmt(account.start, 2, true)}  ${words}  ${left} ${tiny(account.residual)}` +
				`  = logit ${fmt(account.logit, 2, true)}`);
			put(note, `${account.method}: ${account.note}`);
			put(faith, `${account.faithfulness_note} Probabilities are ${verdict.calibrated ? "calibrated, on texts like those of its validation" : "not calibrated"}.`);
		}
	}

	function drawChange(state, back, p) {
		const { data } = state;
		const before = data.changed?.before;
		const lines = [];
		if (before && !back) {
			ghost.style.setProperty("left", `${(100 * before.p).toFixed(2)}%`);
			const moved = data.verdict.p - before.p;
			const turned = before.label === data.verdict.label ? "still" : "now";
			const of = shown(data.verdict.towards, 24);
			lines.push(`“${of}” ${fmt(before.p)} → ${fmt(data.verdict.p)} (${fmt(moved, 2, true)}): ${turned} ${shown(data.verdict.label, 24)}.`);
		}
		if (state.guess && !back && state.guessed !== undefined) {
			const off = Math.round(100 * Math.abs(state.guessed - data.verdict.p));
			lines.push(`You guessed ${Math.round(100 * state.guessed)}%, the model says ${Math.round(100 * data.verdict.p)}%: ${off} points apart.`);
		}
		if (!back && state.example?.text === data.shown && fits(state.example, data.model.labels)) lines.push(agrees(state, p));
		told.hidden = !lines.length;
		put(told, lines.join(" "));
	}

	/** Whether an example's label means something to this model: it tells bad from good, by one of their usual names. */
	const fits = (example, labels) => example.people && GOOD_NAMES.includes(labels.join(" ").toLowerCase());

	/** Whether the model says what people say, of an example; a miss is called a miss. */
	function agrees({ example, data }, p) {
		const [bad, good] = data.model.labels;
		const people = example.people === "good" ? good : bad;
		const same = people === data.verdict.label;
		return `People say ${shown(people, 24)}, the model says ${shown(data.verdict.label, 24)} ${fmt(p)}: ${same ? "it agrees" : "a miss"}.`;
	}

	return { draw, keptBack };
}
