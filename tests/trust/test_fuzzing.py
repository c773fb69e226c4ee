"""The targets hold for changed seeds, and find readers that are wrong. `make fuzz` guides them by coverage."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatewise.errors import DataError, ModelFileError
from tests.kernels.batches import needs_native
from trust.forked import finish
from trust.fuzzing.registry import TARGETS, target_of
from trust.fuzzing.target import Target

pytestmark = pytest.mark.process

READERS = [name for name in TARGETS if name != "kernels"]
RUNS = 60


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_seeds_are_read_and_changed_ones_hold(name: str, tmp_path: Path) -> None:
    target = target_of(name)
    for raw in target.seeds():
        target.compare(raw, target.read(raw, tmp_path), tmp_path)
    for raw in target.changed(1, RUNS):
        target.attempt(raw, tmp_path)


@needs_native
@pytest.mark.filterwarnings("ignore")
def test_the_kernels_hold(tmp_path: Path) -> None:
    """In a process of its own, which a wrong kernel could end."""
    target = target_of("kernels")

    def work() -> None:
        for raw in target.changed(1, 1000):
            target.attempt(raw, tmp_path)

    finish(work)


WRONG: dict[str, Callable[[Any], Any]] = {
    "json": lambda value: value if isinstance(value, str) else str(value),
    "safetensors": lambda arrays: {name: array + 1 for name, array in arrays.items()},
    "csv": lambda found: (found[0], found[1][1:], found[2]),
    "json-rows": lambda found: (found[0], [dict(reversed(row.items())) for row in found[1]], found[2]),
    "ts": lambda rows: replace(rows, inputs=[series[::-1] for series in rows.inputs]),
    "arff": lambda rows: replace(rows, labels=[""] * len(rows.inputs)),
    "onnx": lambda layer: layer.requires_grad_(False).apply(lambda one: one.weight_ih_l0.mul_(2)),
    "npz": lambda rows: replace(rows, inputs=rows.inputs[::-1]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_found(name: str, tmp_path: Path) -> None:
    target = target_of(name)
    wrong = replace(target, read=lambda raw, folder: WRONG[name](target.read(raw, folder)))
    found = 0
    for raw in target.seeds():
        try:
            wrong.attempt(raw, tmp_path)
        except AssertionError:
            found += 1
    assert found


def test_a_bad_message_is_found(tmp_path: Path) -> None:
    def refuse(raw: bytes, folder: Path) -> None:
        error = DataError("x")
        error.args = ("two\nlines",)
        raise error

    with pytest.raises(AssertionError, match="not one printable line"):
        Target(refuse, list).attempt(b"", tmp_path)

    def crash(raw: bytes, folder: Path) -> None:
        raise ModelFileError("x") if raw else ValueError("not for users")

    Target(crash, list).attempt(b"1", tmp_path)
    with pytest.raises(ValueError, match="not for users"):
        Target(crash, list).attempt(b"", tmp_path)
