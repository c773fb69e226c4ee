"""Targets: files of other programs' formats that commands read: ONNX models, and Optuna's journals of trials."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import optuna
from onnx import helper, numpy_helper

from gatewise.nn import from_onnx
from gatewise.training import recipe
from gatewise.tuning import tune
from tests.nn.test_convert import written
from trust.fuzzing.target import Target
from trust.mutate import Rng, change_bytes, change_json, choice


def _onnx_seeds() -> list[bytes]:
    """A node of one direction, and one of two without a bias."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        return [written(file, directions, bias=directions == 1).read_bytes() for directions in (1, 2)]


def _read_onnx(raw: bytes, folder: Path) -> Any:
    (folder / "input.onnx").write_bytes(raw)
    return from_onnx(folder / "input.onnx")


def _compare_onnx(raw: bytes, value: Any, folder: Path) -> None:
    """The weights are those that the onnx library reads, in the order of another layout."""
    graph = onnx.load_from_string(raw).graph
    [node] = [one for one in graph.node if one.op_type == "LSTM"]
    stored = {one.name: one for one in graph.initializer}
    ours = {name: parameter.detach().numpy() for name, parameter in value.named_parameters()}
    for name, part in zip(node.input[1:3], ("weight_ih", "weight_hh"), strict=True):
        theirs = np.sort(numpy_helper.to_array(stored[name]), axis=None)
        found = np.sort(np.concatenate([array.ravel() for key, array in ours.items() if key.startswith(part)]))
        assert np.array_equal(found, theirs.astype(found.dtype)), f"{part} has the numbers {found!r}, not {theirs!r}"
    assert all(np.isfinite(array).all() for array in ours.values()), "a weight is not finite"


def _change_onnx(rng: Rng, raw: bytes) -> bytes:
    """Changed bytes, or another field of the model: a name, a shape, a type, a file with the data."""
    try:
        model = onnx.load_from_string(raw)
        tensor, node = choice(rng, model.graph.initializer), choice(rng, model.graph.node)
    except Exception:  # changed before
        return change_bytes(rng, raw)
    match int(rng.integers(6)):
        case 0:
            tensor.dims[int(rng.integers(len(tensor.dims)))] = int(choice(rng, [0, 1, -1, 2**31, 2**62]))
        case 1:
            tensor.data_type = int(rng.integers(0, 24))
        case 2:
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../../../../etc/passwd")
        case 3:
            node.input[int(rng.integers(len(node.input)))] = choice(rng, ["", "W", "x", "y", "\x1b[31m"])
        case 4:
            node.attribute.append(helper.make_attribute(choice(rng, ["clip", "input_forget", "direction"]), 1))
        case _:
            return change_bytes(rng, raw)
    return bytes(model.SerializeToString())


ONNX = Target(
    _read_onnx,
    _onnx_seeds,
    _compare_onnx,
    (b"LSTM", b"direction", b"bidirectional", b"\x08\x01", b"\x10\x01", b"external", b"Constant"),
    _change_onnx,
)

_IDENTITY = "0" * 64


def _trials_seeds() -> list[bytes]:
    """A journal with three trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").disabled = True
    with tempfile.TemporaryDirectory() as folder:
        study = tune._study(Path(folder) / "trials", 1, _IDENTITY)
        for _ in range(3):
            trial = study.ask()
            settings = {"lstm.units": trial.suggest_int("lstm.units", 2, 9), "lstm.dropout_output": 0.25}
            trial.set_user_attr("settings", settings)
            trial.report(0.5, 50)
            study.tell(trial, 0.25)
        return [(Path(folder) / "trials").read_bytes()]


def _read_trials(raw: bytes, folder: Path) -> Any:
    """The recipes of the trials, with which `tune` goes on."""
    for file in folder.glob("trials*"):
        file.unlink()
    (folder / "trials").write_bytes(raw)
    study = tune._study(folder / "trials", 1, _IDENTITY)
    return [recipe("fast", **dict(tune._trial_of(frozen).settings)) for frozen in study.get_trials(deepcopy=False)]


def _change_trials(rng: Rng, raw: bytes) -> bytes:
    lines = raw.splitlines(keepends=True)
    if not lines or rng.random() < 0.2:
        return change_bytes(rng, raw)
    at = int(rng.integers(len(lines)))
    lines[at] = choice(rng, [b"", lines[0], change_json(rng, lines[at]) + b"\n"])
    return b"".join(lines)


TRIALS = Target(_read_trials, _trials_seeds, words=(b'"op_code":', b'"trial_id":'), change=_change_trials)
