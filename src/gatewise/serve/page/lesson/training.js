// The training runs of the chapters: all that run share a few milliseconds of each frame, so that the page stays responsive.

const SLICE = 6; // milliseconds of a frame for all runs together

const running = new Set();
let frame = 0;

function work() {
	frame = 0;
	const end = performance.now() + SLICE;
	while (running.size && performance.now() < end) {
		for (const job of running) job.advance(SLICE / running.size);
	}
	if (running.size) frame = requestAnimationFrame(work);
}

/** A training run of the page. training: of `createTraining`; steps: its length; onStep(): after each step.
 * Returns {start(), pause(), done, curve}. */
export function createJob({ training, steps, onStep }) {
	const job = {
		curve: training.curve,
		get done() {
			return training.curve.length >= steps;
		},
		start() {
			if (!job.done) running.add(job);
			frame ||= requestAnimationFrame(work);
		},
		pause: () => running.delete(job),
		advance(milliseconds) {
			if (!training.work(milliseconds)) return;
			if (job.done) running.delete(job);
			onStep?.();
		},
	};
	return job;
}
