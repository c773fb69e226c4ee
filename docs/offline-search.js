// The search of this site where it is opened as files. There a browser starts no worker from a file, but it starts one
// from a blob. tools/site.py writes the code of the theme's worker as a string into search/worker.js.
if (location.protocol === "file:") {
	const code = new URL("search/worker.js", document.currentScript.src);
	document.write(`<script src="${code}"></script>`); // before the theme's own script, which starts the worker
	window.Worker = class extends Worker {
		constructor() {
			super(URL.createObjectURL(new Blob([window.searchWorker], { type: "text/javascript" })));
		}
	};
}
