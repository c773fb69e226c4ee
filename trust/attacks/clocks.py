"""Clocks that jump while a model is trained, saved and served."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from trust.attack import ROOT, Attacks
from trust.attacks.answers import predict, save_models
from trust.attacks.commands import PRETRAIN, TRAIN, trained, write_texts
from trust.attacks.requests import predict_body
from trust.attacks.server import SERVER
from trust.mutate import Rng, choice
from trust.server import serving

ATTACKS = Attacks()
COMMANDS = [TRAIN, PRETRAIN]
# "in -3.1 s", a negative last column of the table of epochs, which is the time, or one in the history.
NEGATIVE = re.compile(r'-[\d.,]+ ?(?:s|ms|min|h)\b|"\w*seconds": ?-| -[\d.]+$|\b(?:nan|inf)\b', re.MULTILINE)


@cache
def usual(command: str) -> dict[str, Any]:
    """What the command gives with a clock that does not jump."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(command, Path(folder), ["-m", "gatewise"])[0]


def _run(command: str, folder: Path, program: list[str]) -> tuple[dict[str, Any], str]:
    """What a run of the command trained, and what it printed and recorded."""
    write_texts(folder / "texts.csv")
    words = f"{command} 5 -o m".split()
    where: Any = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    done = subprocess.run([sys.executable, *program, *words], capture_output=True, text=True, **where)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-250:]}")
    history = folder / "m" / "history.jsonl"
    return trained(folder / "m"), done.stdout + done.stderr + (history.read_text() if history.exists() else "")


@ATTACKS.add("clock-training", 1, 200, prepare=lambda: [usual(command) for command in COMMANDS], seconds=300, memory=0)
def _training(rng: Rng, folder: Path) -> None:
    """Training, pretraining and saving do not depend on the clock: the same bits, no error, no negative time.

    the wall clock jumps within ten years, also backwards; the monotonic clock jumps by up to an hour or stands still
    """
    command = choice(rng, COMMANDS)
    found, printed = _run(command, folder, ["-m", "trust.clock", str(rng.integers(2**31))])
    name, wanted = command.split()[0], usual(command)
    wrong = [file for file in set(found) | set(wanted) if found.get(file) != wanted.get(file)]
    assert not wrong, f"{name}: {', '.join(wrong)} differs"
    negative = NEGATIVE.search(printed)
    assert negative is None, f"{name}: it printed {printed[max(0, negative.start() - 60) :][:90]!r}"
    assert "Traceback" not in printed


@ATTACKS.add("clock-serving", 1, 200, **SERVER | {"seconds": 300.0})
def _serving(rng: Rng, folder: Path) -> None:
    """A server whose clock jumps gives the right predictions, or 504 to a request that has waited too long by that
    clock, and no negative time in its metrics.

    the same jumps while up to 60 requests are answered
    """
    program = ["-m", "trust.clock", str(rng.integers(2**31))]
    bodies = [predict_body(rng) for _ in range(int(rng.integers(5, 60)))]
    with serving(*save_models(folder), program=program) as server:
        for body in bodies:
            predict(server, body, 504)
        metrics = re.sub(r"^#.*$", "", server.get("/metrics").body.decode(), flags=re.MULTILINE)
        negative = re.search(r"^gatewise_.* (-\S+|nan)$", metrics, re.MULTILINE | re.IGNORECASE)
        assert negative is None, f"/metrics: {negative[0]}"
        assert "Traceback" not in server.log, server.log[-250:]
