"""Memory of a training step, counted by the arena and by the system; what the first step costs beyond the others."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewise.kernels import native
from tests.kernels.batches import HERE, needs_native

pytestmark = needs_native

# What `forward` and `backward` take of the arena, and what the process faults in, step by step. 64 sequences of about
# the lengths of reviews, H = 100, 4,300 distinct tokens of 15,000: the tutorial's step.
SCRIPT = """
import gc, json, resource, sys
sys.path[:0] = [{path!r}]
import numpy as np
from gatewise.kernels import LSTMCall, native
rng = np.random.default_rng(4)
lengths = np.clip(np.exp(rng.normal(5.2, 0.72, 64)), 10, 1000).astype(np.int64)
steps, units, distinct = int(lengths.sum()), 100, 4300
pre = rng.normal(size=(distinct if {indexed} else steps, 4 * units)).astype(np.float32)
index = rng.integers(0, distinct, steps).astype(np.int32) if {indexed} else None
weight = (rng.normal(size=(4 * units, units)) / 10).astype(np.float32)
zeros, ones = np.zeros((64, units), np.float32), np.ones((64, units), np.float32)
kernel, extension = native.Native(isa={isa!r}, threads=2), native._extension()
# NumPy's own loops and the arrays above are there already: what faults from here on is the kernel's.
rows = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF)
    out = kernel.forward(LSTMCall(pre, index, lengths, weight, zeros, zeros))
    saved = sum(a.nbytes for a in (out.saved.packed_gates, out.saved.c, out.saved.h))
    back = kernel.backward(out.saved, None, ones, zeros)
    results = sum(a.nbytes for a in back)
    after = resource.getrusage(resource.RUSAGE_SELF)
    del out, back
    gc.collect()
    grown = (after.ru_maxrss - before.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
    rows.append(dict(saved=saved, results=results, kept=extension.cached_bytes(), grown=grown,
                     faults=after.ru_minflt - before.ru_minflt))
print(json.dumps(rows))
"""


def steps_of(isa: str, indexed: bool) -> list[dict[str, Any]]:
    script = SCRIPT.format(path=str(Path(native.__file__).resolve().parents[2]), isa=isa, indexed=indexed)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.parametrize(("name", "indexed"), [*((name, True) for name in HERE), (HERE[0], False)])
def test_a_training_step_takes_little_more_than_its_saved_activations(name: str, indexed: bool) -> None:
    """All blocks that the arena ever handed out, gradients and scratch with them, against gates + c + h. Without an
    index every step has its own row of dpre (N, 4H): a result that the caller gets, as large as gates.
    """
    first, *_, last = steps_of(name, indexed)
    needed = last["saved"] + (0 if indexed else last["results"])
    assert last["kept"] < 1.3 * needed, f"{last['kept'] / needed:.2f} of what is needed"
    assert last["kept"] == first["kept"], "a step of the same size asked for more"
