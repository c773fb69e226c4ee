// The trainer: gradients against finite differences, and the task of chapter 6. Run by tests/serve/page/test_modules.py.

import assert from "node:assert/strict";
import { test } from "node:test";

const page = (name) => import(new URL(`../../../../src/gatewise/serve/page/${name}.js`, import.meta.url));
const { adam } = await page("trainer/adam");
const { LstmNetwork } = await page("trainer/lstm");
const { PlainNetwork } = await page("trainer/plain");
const { seeded } = await page("trainer/random");
const { createTraining, crossEntropy, lossOf } = await page("trainer/training");
const { drawPeaks, STEPS } = await page("lesson/peaks");
const { firstSymbol } = await page("lesson/tasks/first");
const { trainingOf } = await page("lesson/tasks/symbols");

function random(seed, { Kind = LstmNetwork, inputs = 3, units = 4, steps = 6 } = {}) {
	const draw = seeded(seed);
	const network = new Kind({ inputs, units, seed });
	network.parameters.forEach((_, n) => (network.parameters[n] = 1.6 * draw() - 0.8));
	return { network, x: Float64Array.from({ length: steps * inputs }, () => 2 * draw() - 1) };
}

test("one unit at one step is the example of cell.py, and the prefix logits end in the logit", () => {
	const network = new LstmNetwork({ inputs: 1, units: 1 });
	network.parameters.fill(0);
	network.bias.set([0, 2, 0.5, 1]);
	network.weight[0] = 2;
	const run = network.forward(new Float64Array(2));
	assert.ok(Math.abs(run.f[0] - 0.8808) < 1e-4 && Math.abs(run.c[0] - 0.5 * Math.tanh(0.5)) < 1e-12);
	assert.ok(Math.abs(run.c[1] - (run.f[0] * run.c[0] + run.c[0])) < 1e-12);
	const { network: other, x } = random(5);
	const { logits, logit } = other.forward(x);
	assert.ok(logits.length === 6 && logits.at(-1) === logit);
});

test("the gradient of every parameter is that of finite differences, also where gates are held", () => {
	for (const [seed, held, shape] of [
		[1, {}, {}],
		[2, { f: 0.5 }, { units: 3 }],
		[3, { i: 0.7, g: -0.4, o: 0.9 }, { steps: 3 }],
		[4, {}, { steps: 1 }],
		[5, {}, { inputs: 1, units: 1, steps: 9 }],
		[6, {}, { Kind: PlainNetwork }],
		[7, [{ gate: "f", value: 0.2, unit: null, from: 1, to: 2 }], {}],
	]) {
		const { network, x } = random(seed, shape);
		const label = seed % 2;
		const loss = () => crossEntropy(network.forward(x, held).logit, label);
		const gradient = new Float64Array(network.parameters.length).fill(0.25); // backward adds to what is there
		const run = network.forward(x, held);
		network.backward(run, lossOf(run, { label }).dlogits, gradient);
		network.parameters.forEach((value, n) => {
			const at = (moved) => {
				network.parameters[n] = moved;
				return loss();
			};
			const slope = (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
			network.parameters[n] = value;
			assert.ok(
				Math.abs(gradient[n] - 0.25 - slope) < 1e-8,
				`seed ${seed}, parameter ${n}: ${gradient[n] - 0.25} and ${slope}`,
			);
		});
	}
});

test("two steps of Adam are those of Keras: m = 0.1 g, v = 0.001 g², and epsilon outside of the correction", () => {
	const parameters = Float64Array.of(1, -2, 0.5);
	const update = adam(parameters, { rate: 0.1 });
	update(Float64Array.of(0.3, -4, 0));
	const first = 1 - (0.1 * Math.sqrt(0.001) * 0.3) / (Math.sqrt(0.001) * 0.3 + 1e-7);
	assert.ok(Math.abs(parameters[0] - first) < 1e-12 && Math.abs(parameters[1] + 1.9) < 1e-6 && parameters[2] === 0.5);
	update(Float64Array.of(-0.15, -4, 0));
	const [m, v] = [0.9 * 0.03 - 0.015, 0.999 * 0.00009 + 0.001 * 0.0225];
	const size = (0.1 * Math.sqrt(1 - 0.999 ** 2)) / (1 - 0.9 ** 2);
	assert.ok(Math.abs(parameters[0] - (first - (size * m) / (Math.sqrt(v) + 1e-7))) < 1e-12);
});

const accuracyAfter = (training, steps) => {
	for (let n = 0; n < steps; n += 1) training.next();
	return training.curve.slice(-20).reduce((sum, { accuracy }) => sum + accuracy / 20, 0);
};

test("8 units remember the first symbol over 20; with the forget gate held at 1/2 they do not, from a larger bias over 40", () => {
	const after = (distance, options) => accuracyAfter(trainingOf(firstSymbol(distance), 8, options), 120);
	assert.ok(after(20, { forgetBias: 1 }) > 0.99);
	assert.ok(after(20, { forgetBias: 1, held: { f: 0.5 } }) < 0.65);
	assert.ok(after(40, { forgetBias: 1 }) < 0.65, "0.73 to the power of 40 leaves no gradient");
	assert.ok(after(40, { forgetBias: 3 }) > 0.99);
});

test("frozen recurrent weights stay 0", () => {
	const training = trainingOf(firstSymbol(5), 1, { frozen: ["f"] });
	training.next();
	const { weightHh, units } = training.network;
	const size = units * units;
	assert.ok(weightHh.subarray(size, 2 * size).every((weight) => weight === 0));
	assert.ok(weightHh.subarray(0, size).every((weight) => weight !== 0));
});

test("8 units tell which of two peaks is higher", () => {
	const network = new LstmNetwork({ inputs: 1, units: 8, seed: 12, forgetBias: 3 });
	const draw = drawPeaks(seeded(112));
	const { x, label } = draw();
	assert.ok(x.length === STEPS && (label === 0 || label === 1));
	assert.ok(accuracyAfter(createTraining(network, draw, { rate: 0.02 }), 260) > 0.93);
});
