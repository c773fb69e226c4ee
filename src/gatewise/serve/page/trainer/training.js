// A training run: cross-entropy, backpropagation through time, Adam; in slices of a few milliseconds, so that the page stays responsive.

import { sigmoid } from "../model/arrays.js";
import { adam, clip } from "./adam.js";

/** Cross-entropy of a logit against a label from 0 to 1. */
export const crossEntropy = (logit, label) =>
	Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));

/** What an example asks: [step, label, weight in the loss]; without targets, its label after the last step. */
export const targetsOf = ({ targets, label }, T) => targets ?? [[T - 1, label, 1]];

/** Whether a logit answers the label; a label of 1/2 asks for no answer: P between 0.3 and 0.7. */
export const isRight = (logit, label) =>
	label === 0.5 ? Math.abs(sigmoid(logit) - 0.5) < 0.2 : logit > 0 === (label === 1);

/** The loss of a run of an example and the gradients of its logits (T,), times `share`: {loss, dlogits}. */
export function lossOf(run, example, share = 1) {
	const dlogits = new Float64Array(run.T);
	let loss = 0;
	for (const [t, label, weight] of targetsOf(example, run.T)) {
		loss += share * weight * crossEntropy(run.logits[t], label);
		dlogits[t] = share * weight * (sigmoid(run.logits[t]) - label);
	}
	return { loss, dlogits };
}

/** The share of right answers of a network in examples. which(example, step, label): the targets that count, all if not given. */
export function accuracyOf(network, examples, { held = {}, which = () => true } = {}) {
	let right = 0;
	let asked = 0;
	for (const example of examples) {
		const { logits, T } = network.forward(example.x, held);
		for (const [t, label] of targetsOf(example, T)) {
			if (!which(example, t, label)) continue;
			asked += 1;
			right += Number(isRight(logits[t], label));
		}
	}
	return right / asked;
}

/** A training run. draw(): a fresh example {x, label} or {x, targets}, so that none comes twice and the loss of a batch is one on
 * unseen data. held: gates of `forward`. `curve` has {loss, accuracy, length} of each batch before its step; length: that of the gradient.
 * last: the parameters before the last step, and their gradient. next(): one step of Adam on a batch. work(milliseconds): examples for so long; true if a step was taken. */
export function createTraining(network, draw, { batch = 32, rate = 0.01, limit = 1, held = {} } = {}) {
	const gradient = new Float64Array(network.parameters.length);
	const update = adam(network.parameters, { rate });
	const curve = [];
	const last = { parameters: new Float64Array(gradient.length), gradient: new Float64Array(gradient.length) };
	let done = { examples: 0, loss: 0, right: 0, asked: 0 }; // of the batch

	function learnFrom(example) {
		const run = network.forward(example.x, held);
		const { loss, dlogits } = lossOf(run, example, 1 / batch);
		network.backward(run, dlogits, gradient);
		done.examples += 1;
		done.loss += loss;
		for (const [t, label] of targetsOf(example, run.T)) {
			done.asked += 1;
			done.right += Number(isRight(run.logits[t], label));
		}
	}

	/** One example; true if it was the last one of a batch, and the step is taken. */
	function advance() {
		learnFrom(draw());
		if (done.examples < batch) return false;
		const length = clip(gradient, limit);
		last.parameters.set(network.parameters);
		last.gradient.set(gradient);
		update(gradient);
		gradient.fill(0);
		curve.push({ loss: done.loss, accuracy: done.right / done.asked, length });
		done = { examples: 0, loss: 0, right: 0, asked: 0 };
		return true;
	}

	return {
		network,
		curve,
		held,
		last,
		next() {
			while (!advance());
			return curve.at(-1);
		},
		work(milliseconds) {
			const end = performance.now() + milliseconds;
			let isStep = false;
			while (performance.now() < end && !isStep) isStep = advance();
			return isStep;
		},
	};
}
