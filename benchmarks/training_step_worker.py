"""Time the training steps of the gatewise that this Python imports; prints a line of JSON.

    python training_step_worker.py CASE STEPS

It runs on commit f2bca14 and later, so it uses `gatewise.train`, `gatewise.pretrain` and the loops' `_step` alone.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import sys
import time
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

BEGAN = time.perf_counter()
WARM_UP = 3  # steps
# Names of older commits where they differ: with flat recipes, and of f2bca14.
FLAT = {"ngrams__order": "ngram_order"}
OLD = {"ngrams__order": "ngrams", "lsa_components": "latent", "min_steps": "least_steps", "batch_size": "batch"}
OLD |= {"min_batch_tokens": "", "tokenization": "", "embedding_dim": "embedding", "finetune": "tuned"}
# Rows, words, recipe and changes of it.
TRAINED: dict[str, tuple[int, int, str, dict[str, Any]]] = {
    "tutorial": (1_600, 240, "tutorial", {}),
    "fast": (1_600, 240, "fast", {"ngrams__order": 0, "tokenization": "words"}),
    "short": (4_000, 20, "fast", {"ngrams__order": 0, "tokenization": "words", "batch_size": 96}),
    "finetune": (
        1_600,
        240,
        "finetune",
        {"units": 512, "embedding_dim": 256, "student_epochs": 0, "ngrams__order": 0, "lsa_components": 0},
    ),
}


class Done(BaseException):
    """Enough steps."""


def texts(rows: int, words: int) -> list[str]:
    """Made texts of about so many words, whose frequencies follow Zipf's law."""
    rng = random.Random(1)

    def length() -> int:
        return max(5, int(rng.gammavariate(2.0, words / 2)))

    return [" ".join(f"w{min(60_000, int(20 * rng.paretovariate(0.9)))}" for _ in range(length())) for _ in range(rows)]


def time_steps(owner: Any, steps: int) -> dict[str, float]:
    """Replace `owner._step` by one that is timed, and raises Done at the end; the result is filled meanwhile."""
    original, seconds = owner._step, list[float]()
    result: dict[str, float] = {}

    def timed(self: Any, *arguments: Any) -> Any:
        result.setdefault("start", time.perf_counter() - BEGAN)
        began = time.perf_counter()
        out = original(self, *arguments)
        seconds.append(time.perf_counter() - began)
        if len(seconds) == steps + WARM_UP:
            unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes on Linux
            result["step"] = statistics.median(seconds[WARM_UP:])
            result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
            raise Done
        return out

    owner._step = timed
    return result


def main() -> None:
    case, steps = sys.argv[1], int(sys.argv[2])
    import gatewise as gw
    from gatewise.training import recipes

    old, flat = not hasattr(gw, "load_pretrained"), not hasattr(recipes, "LSTMRecipe")

    def named(**settings: Any) -> dict[str, Any]:
        names = OLD if old else FLAT if flat else {}
        renamed = {names.get(name, name): value for name, value in settings.items()}
        return {name: value for name, value in renamed.items() if name}

    result: dict[str, float]
    loop: Any = import_module("gatewise.training.loop").Loop
    if case == "pretrain":
        if find_spec("gatewise.training.pretrain_loop"):  # in old versions, which had two loops
            loops = import_module("gatewise.training.pretrain_loop")
            loop = loops.Pretraining if old else loops.PretrainLoop
        result = time_steps(loop, steps)
        size: dict[str, Any] = {"plan": "large"} if old else {"recipe": "large"}
        run: Any = partial(gw.pretrain, texts(6_000, 240), **size)
    else:
        result = time_steps(loop, steps)
        rows, words, recipe, changes = TRAINED[case]
        labels = [("bad", "good")[n % 2] for n in range(rows)]
        settings = named(epochs=2, **changes)
        run = partial(
            gw.train, texts(rows, words), labels, recipe=OLD.get(recipe, recipe) if old else recipe, **settings
        )
    try:
        run()
    except Done:
        print(json.dumps(result))
        return
    sys.exit(f"{case}: the run ended before {steps} steps")


if __name__ == "__main__":
    main()
