// The requests in flight, whoever answers them.

let open = 0;
let listener = () => {};

/** Call `f` with whether a request is in flight, at each change of their number. */
export const onBusy = (f) => (listener = f);

/** Count a request, of which `answer` returns a promise, while it is in flight. */
export async function whileBusy(answer) {
	listener((open += 1) > 0);
	try {
		return await answer();
	} finally {
		listener((open -= 1) > 0);
	}
}
