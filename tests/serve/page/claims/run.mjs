// Runs measures: WANTED has the names by chapter. Prints their numbers, {chapter: {measure: [number, ...]}}.

const wanted = JSON.parse(process.env.WANTED);
const numbers = {};
for (const [chapter, names] of Object.entries(wanted)) {
	const { measures } = await import(`./${chapter}.mjs`);
	numbers[chapter] = Object.fromEntries(names.map((name) => [name, measures[name]()]));
}
console.log(JSON.stringify(numbers));
