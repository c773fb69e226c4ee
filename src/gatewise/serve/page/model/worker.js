// The worker of an exported page that computes its answers itself: the model and its explanations, off the page's thread.

import { createExplain } from "./answers.js";
import { parseModel } from "./lstm.js";

let explain = null;

addEventListener("message", ({ data: { number, start, request } }) => {
	try {
		if (start) explain = createExplain(parseModel(start.model), start.view);
		postMessage({ number, answer: request ? explain(request) : null });
	} catch (error) {
		postMessage({ number, message: error.message });
	}
});
