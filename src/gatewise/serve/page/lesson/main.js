// The lesson: load the model, then show its chapters.

import { el } from "../dom.js";
import { readBytes } from "../files.js";
import { parseModel } from "../model/lstm.js";
import { readTensors } from "../model/tensors.js";
import { createTheme } from "../theme.js";
import { mount as add } from "./add.js";
import { mount as fade } from "./fade.js";
import { mount as forget } from "./forget.js";
import { mount as hide } from "./hide.js";
import { mount as learn } from "./learn.js";
import { mount as limits } from "./limits.js";
import { mount as mind } from "./mind.js";
import { mount as numbers } from "./numbers.js";
import { mount as repeat } from "./repeat.js";
import { mount as whole } from "./whole.js";
import { mount as words } from "./words.js";
import { createLesson } from "./shell.js";

const CHAPTERS = { mind, repeat, fade, add, forget, hide, whole, learn, words, numbers, limits };

const find = (id) => document.getElementById(id);
try {
	const model = parseModel(await readBytes("tutorial.lstm"));
	find("status").hidden = true;
	const lesson = createLesson(model, CHAPTERS, { nav: find("chapters"), main: find("chapter") });
	createTheme(find("themebutton"), lesson);
	globalThis.lesson = lesson;
	model.network.addRows(readTensors(await readBytes("tutorial-rest.lstm")).tensors);
	lesson.draw();
} catch (error) {
	find("status").hidden = false;
	find("status").replaceChildren(
		el("span", { class: "error", role: "alert" }, `The lesson cannot start: ${error.message}`),
	);
}
