// The optimizer.

/** Adam (Kingma & Ba 2015) with the settings of Keras. The returned function takes one step along a gradient; `m` and `v` of it are
 * the running means of the gradient and of its square. */
export function adam(parameters, { rate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 } = {}) {
	const m = new Float64Array(parameters.length);
	const v = new Float64Array(parameters.length);
	let steps = 0;
	const update = (gradient) => {
		steps += 1;
		const size = (rate * Math.sqrt(1 - beta2 ** steps)) / (1 - beta1 ** steps);
		for (let n = 0; n < parameters.length; n += 1) {
			m[n] += (1 - beta1) * (gradient[n] - m[n]);
			v[n] += (1 - beta2) * (gradient[n] ** 2 - v[n]);
			parameters[n] -= (size * m[n]) / (Math.sqrt(v[n]) + epsilon);
		}
	};
	return Object.assign(update, { m, v });
}

/** Scale a gradient to the length `limit` if it is longer (Pascanu et al. 2013). Returns its length before. */
export function clip(gradient, limit) {
	let squares = 0;
	for (const value of gradient) squares += value * value;
	const length = Math.sqrt(squares);
	if (length > limit) for (let n = 0; n < gradient.length; n += 1) gradient[n] *= limit / length;
	return length;
}
