// The worker of an exported page that computes its answers itself: the model and its explanations, off the page's thread.

import { createExplain } from "./answers.js";
import { parseModel } from "./lstm.js";

let explain = null;

addEventListener("message", ({ data: { start, request }, ports: [answers] }) => {
	try {
		if (start) explain = createExplain(parseModel(start.model), start.view);
		answers.postMessage({ answer: request ? explain(request) : null });
	} catch (error) {
		answers.postMessage({ error: error.message });
	}
});
