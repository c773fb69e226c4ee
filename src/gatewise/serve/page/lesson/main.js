// The lesson: load the model, then show its chapters.

import { parseModel } from "../model/lstm.js";
import { readTensors } from "../model/tensors.js";
import { createTheme } from "../theme.js";
import { el } from "../dom.js";
import { mount as answer } from "./answer.js";
import { readBytes } from "../files.js";
import { mount as gates } from "./gates.js";
import { mount as ids } from "./ids.js";
import { mount as learning } from "./learning.js";
import { mount as memory } from "./memory.js";
import { mount as pads } from "./pads.js";
import { mount as series } from "./series.js";
import { createLesson } from "./shell.js";

const CHAPTERS = { ids, pads, memory, gates, answer, learning, series };

const find = (id) => document.getElementById(id);
try {
	const model = parseModel(await readBytes("tutorial.lstm"));
	const lesson = createLesson(model, CHAPTERS, { nav: find("chapters"), bar: find("bar"), main: find("chapter") });
	createTheme(find("themebutton"), lesson);
	globalThis.lesson = lesson;
	model.network.addRows(readTensors(await readBytes("tutorial-rest.lstm")).tensors);
	lesson.draw();
} catch (error) {
	find("bar").replaceChildren(el("p", { class: "error", role: "alert" }, `The lesson cannot start: ${error.message}`));
}
