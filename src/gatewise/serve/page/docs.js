// /docs: the API for people, drawn from the OpenAPI description.

import { el } from "./dom.js";

const LARGEST = 1500; // characters of an example that are shown
const idOf = (path, method) =>
	`${method}-${path
		.replace(/^\/|\/$/g, "")
		.replaceAll("/", "-")
		.replace(/[{}]/g, "")}`;
const table = (head, rows) =>
	el(
		"table",
		{},
		[head, ...rows].map((row, n) =>
			el(
				"tr",
				{},
				row.map((cell) => el(n ? "td" : "th", {}, cell)),
			),
		),
	);

/** A schema in one line, or with one property per line: {text: string, model?: "a" | "b"}; `?`: optional. */
function signature(schema, lines = false) {
	if ("const" in schema) return JSON.stringify(schema.const);
	if (schema.anyOf) return schema.anyOf.map((one) => signature(one)).join(" | ");
	if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
	const { type = "any", properties = {}, required = [], additionalProperties: values } = schema;
	if (Array.isArray(type)) return type.join(" | ");
	if (type === "array") return `[${signature(schema.items ?? {})}, ...]`;
	if (type !== "object") return type;
	const fields = Object.entries(properties).map(
		([name, one]) => `${name}${required.includes(name) ? "" : "?"}: ${signature(one)}`,
	);
	if (!fields.length) return values && typeof values === "object" ? `{name: ${signature(values)}, ...}` : "object";
	return lines ? `{\n  ${fields.join(",\n  ")}\n}` : `{${fields.join(", ")}}`;
}

/** A curl command. */
function command(path, token, body) {
	const quote = (word) => `'${word.replaceAll("'", "'\"'\"'")}'`;
	const words = ["curl", "-s", /[{}]/.test(path) ? quote(location.host + path) : location.host + path];
	if (token) words.push("-H", quote("Authorization: Bearer TOKEN"));
	if (body !== undefined) words.push("-H", quote("Content-Type: application/json"), "-d", quote(JSON.stringify(body)));
	return words.join(" ");
}

function operation(path, method, about, token) {
	const parts = [el("h2", {}, el("code", {}, `${method.toUpperCase()} ${path}`)), el("p", {}, about.description)];
	if (about.parameters?.length) {
		const rows = about.parameters.map((one) => [
			el("code", {}, one.name),
			one.in,
			signature(one.schema),
			`${one.required ? "required. " : ""}${one.description ?? ""}`,
		]);
		parts.push(el("h3", {}, "Parameters"), table(["name", "in", "type", "meaning"], rows));
	}
	const body = about.requestBody?.content["application/json"];
	if (body || !path.includes("{")) parts.push(el("h3", {}, "Request"));
	if (body) {
		(body.schema.anyOf ?? [body.schema]).forEach((form, n) =>
			parts.push(n ? el("p", {}, "or") : null, el("pre", {}, signature(form, true))),
		);
		for (const [name, { value }] of Object.entries(body.examples ?? {}))
			parts.push(el("h4", {}, name), el("pre", {}, command(path, token, value)));
	} else if (!path.includes("{")) parts.push(el("pre", {}, command(path, token && !about.security)));
	const [[kind, answer]] = Object.entries(about.responses["200"].content);
	parts.push(el("h3", {}, "Response"), el("p", {}, kind));
	if (answer.schema.properties) parts.push(el("pre", {}, signature(answer.schema, true)));
	for (const [name, { value }] of Object.entries(answer.examples ?? {})) {
		const shown = JSON.stringify(value, null, 1);
		parts.push(
			el(
				"details",
				{},
				el("summary", {}, name),
				el("pre", {}, shown.length > LARGEST ? `${shown.slice(0, LARGEST)} …` : shown),
			),
		);
	}
	const errors = Object.entries(about.responses)
		.filter(([status]) => status !== "200")
		.map(([status, one]) => [status, one.description]);
	parts.push(el("details", {}, el("summary", {}, "Errors"), table(["status", "reason"], errors)));
	return el("section", { id: idOf(path, method) }, parts);
}

const schema = await (await fetch("openapi.json")).json();
/** A part of the description with its references replaced by what they name. */
const resolved = (part) => {
	if (part === null || typeof part !== "object") return part;
	if (part.$ref)
		return resolved(
			part.$ref
				.split("/")
				.slice(1)
				.reduce((found, name) => found[name], schema),
		);
	return Array.isArray(part)
		? part.map(resolved)
		: Object.fromEntries(Object.entries(part).map(([name, one]) => [name, resolved(one)]));
};
const token = schema.security.length > 0;
const operations = Object.entries(resolved(schema.paths)).flatMap(([path, methods]) =>
	Object.entries(methods).map(([method, about]) => [path, method, about]),
);
document.getElementById(token ? "token" : "open").hidden = false;
document.getElementById("version").append(`Version ${schema.info.version} · `);
document.querySelector("main").append(
	el(
		"nav",
		{ "aria-label": "Routes" },
		el(
			"ul",
			{},
			operations.map(([path, method, about]) =>
				el(
					"li",
					{},
					el("a", { href: `#${idOf(path, method)}` }, el("code", {}, `${method.toUpperCase()} ${path}`)),
					` ${about.description}`,
				),
			),
		),
	),
	...operations.map(([path, method, about]) => operation(path, method, about, token)),
);
