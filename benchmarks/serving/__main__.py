"""The server under load, client and server on the same two cores.

    python -m benchmarks.serving    throughput compared with ONNX Runtime and without batching

Real reviews (the test half of ../shared/data, or --reviews PATH|embedded) and one set of weights of the tutorial's
sizes for both servers. All servers run all the time; rounds are interleaved, and a ratio is the median over the rounds.
That no response is lost or swapped under load is `python -m trust server-hours`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.machine import machine, now, revision
from benchmarks.reviews import default_data
from benchmarks.serving import load
from benchmarks.serving.servers import use_two_cores
from benchmarks.serving.weights import write
from gatewise.data import imdb


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving")
    parser.add_argument("--reviews", metavar="PATH|embedded", default=default_data())
    parser.add_argument("--requests", type=int, default=4000, help="per server and round")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    arguments = parser.parse_args()
    cores = use_two_cores()
    splits = imdb(arguments.reviews)
    texts = [str(text) for text in (splits.test or splits.train).inputs]
    results: dict[str, object] = {"when": now(), "commit": revision(), "machine": machine()}
    print(f"{len(texts):,} reviews, cores {cores}, {results['machine']}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = write(texts, Path(folder))
        results |= load.run(model, texts, arguments.requests, arguments.clients, arguments.rounds)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
