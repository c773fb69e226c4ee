"""Serve for a long time under mixed load, and record memory and errors: python -m trust.soak --minutes 60

The load: predictions of short and long texts, explanations, model cards, metrics, refused requests and clients that
leave before their answer. The figures go into docs/trust.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from trust.attacks.answers import judge, save_models
from trust.attacks.requests import CASES, Wanted, exchange, predict_body, text
from trust.mutate import Rng
from trust.results import commit
from trust.server import Server, Silent, serving
from trust.table import PAGE

CLIENTS = 4
SAMPLE = 5.0  # seconds between two measurements of the memory
_MARKED = re.compile(r"(<!-- trust: soak -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass
class Record:
    """What was seen. memory: seconds since the start, and bytes. problems: the first ones."""

    statuses: Counter[int] = field(default_factory=Counter)
    memory: list[tuple[float, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def means(self, parts: int) -> list[float]:
        """The mean memory of so many equal parts of the time, in bytes; of those in which it was measured."""
        seconds, sizes = np.array(self.memory, np.float64).T
        part = np.minimum((parts * seconds / max(seconds[-1], 1e-9)).astype(int), parts - 1)
        return [float(sizes[part == n].mean()) for n in range(parts) if (part == n).any()]


def soak(minutes: float, workers: int, seed: int) -> Record:
    """The record of a server under load for so many minutes."""
    record, stop = Record(), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--workers", workers, "--read-timeout", 2, "--keep-alive", 4]
        with serving(*save_models(Path(folder)), *options) as server:
            clients = [
                threading.Thread(target=_load, args=(server, np.random.default_rng([seed, n]), record, stop))
                for n in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            start = time.monotonic()
            while (elapsed := time.monotonic() - start) < 60 * minutes and not record.problems:
                record.memory.append((elapsed, server.memory))
                print(
                    f"{elapsed / 60:6.1f} min  {server.memory / 1e6:7.1f} MB  {sum(record.statuses.values()):,} answers"
                )
                time.sleep(min(SAMPLE, 60 * minutes))
            stop.set()
            for client in clients:
                client.join()
            record.memory.append((time.monotonic() - start, server.memory))
            if "Traceback" in server.log or server.process.poll() is not None:
                record.problems.append(f"the server's log: {server.log[-500:]}")
    return record


def _load(server: Server, rng: Rng, record: Record, stop: threading.Event) -> None:
    """One client's requests until `stop` is set."""
    while not stop.is_set() and not record.problems:
        try:
            problem = _request(server, rng, record)
        except (OSError, Silent, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            record.problems.append(problem)


def _request(server: Server, rng: Rng, record: Record) -> str | None:
    kind = float(rng.random())
    if kind < 0.7:
        body = predict_body(rng, longest=30 if kind < 0.6 else 2000)
        return _judged(server.post("/predict", body), [Wanted(body)], server, record)
    if kind < 0.8:
        body = json.dumps({"text": text(rng, 40), "include": ["prediction", "attribution"]}).encode()
        return _counted(server.post("/explain", body), server, record)
    if kind < 0.9:
        paths = ["/model", "/metrics", "/units/1", "/openapi.json", "/", "/v2/models/texts"]
        return _counted(server.head(f"GET {paths[int(rng.integers(len(paths)))]} HTTP/1.1"), server, record)
    if kind < 0.97:
        case = CASES[int(rng.integers(len(CASES)))](rng, server)
        answers = exchange(server, case, [])
        if isinstance(answers, str):
            return f"{case.name}: {answers}"
        record.statuses.update(answer.status for answer in answers)
        failed = [answer.status for answer in answers if answer.status >= 500 and answer.status != 501]
        return f"{case.name}: {failed}" if failed else None
    with server.connect() as sock:  # leaves before the answer
        sock.sendall(server.post("/predict", predict_body(rng, longest=2000)))
    return None


def _judged(request: bytes, wanted: list[Wanted], server: Server, record: Record) -> str | None:
    answer = server.ask(request)
    record.statuses[answer.status] += 1
    return judge(wanted, [answer])


def _counted(request: bytes, server: Server, record: Record) -> str | None:
    answer = server.ask(request)
    record.statuses[answer.status] += 1
    return None if answer.status == 200 else f"status {answer.status}: {answer.body[:200]!r}"


def paragraph(record: Record, workers: int, seed: int) -> str:
    """The figures, in one paragraph and the command."""
    minutes, answers = round(record.memory[-1][0] / 60), sum(record.statuses.values())
    means = ", ".join(f"{mean / 1e6:,.0f}" for mean in record.means(6))
    refused = sum(count for status, count in record.statuses.items() if 400 <= status < 500)
    failed = sum(count for status, count in record.statuses.items() if status >= 500) + len(record.problems)
    return (
        f"{minutes} minutes, {workers} {'worker' if workers == 1 else 'workers'}: {answers:,} answers, of which "
        f"{refused:,} refused a bad request and {failed:,} failed. "
        f"Memory, the mean of each sixth of the time: {means} MB. "
        f"{datetime.now(UTC).date().isoformat()}, {commit()},\n"
        f"`python -m trust.soak --minutes {minutes} --workers {workers} --seed {seed}`.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trust.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=1, help="worker processes of the server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-page", action="store_true", help="leave docs/trust.md as it is")
    options = parser.parse_args()
    record = soak(options.minutes, options.workers, options.seed)
    for problem in record.problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    found = paragraph(record, options.workers, options.seed)
    print(found, end="")
    if not options.no_page:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_MARKED.sub(lambda at: at[1] + found + at[2], text), encoding="utf-8")
    return int(bool(record.problems))


if __name__ == "__main__":
    sys.exit(main())
