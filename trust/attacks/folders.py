"""Damaged and hostile model folders, pretrained models, and checkpoints."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.numpy

import gatewise as gw
from gatewise.errors import GatewiseError
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM, PretrainedMetadata, load_pretrained
from gatewise.network.architecture import language_model_shapes
from gatewise.storage.folder import load_folder, save_folder
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes
from gatewise.training.callback import EpochLog
from gatewise.training.checkpoint import FILE, Progress, parse_checkpoint, read_verified, write_checkpoint
from gatewise.training.optim import Adam
from tests.exchange.random_models import TOKENS, random_inputs, random_model
from tests.forecast.conftest import SHOP, frame, seasonal
from trust.attack import Attacks, check_message
from trust.mutate import Rng, change_bytes, change_file, change_json, change_value, choice

ATTACKS = Attacks()
Files = dict[str, bytes]
NAMES = ["evil.py", ".hidden", "config.json~", "e\u0301", "\u00e9.json", "\u202egnp.exe", "a\nb", "\udcff", "n" * 255]
HISTORY = '{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.25}\n'


@cache
def models() -> list[tuple[Files, list[Any]]]:
    """Files and some inputs of a model of each kind."""
    made: list[tuple[Model, str | None]] = [
        (random_model(1, linear="ngrams"), None),
        (random_model(2, linear="scaled ngrams", classes=3), "int8"),
        (random_model(3, classes=4, task="multilabel", thresholds=(0.5, 0.4, 0.3, 0.2), layers=2), "float16"),
        (random_model(4, inputs="channels", linear="convolutions", classes=3), None),
        (random_model(5, inputs="channels", mask=True, bidirectional=True), None),
        (_with_shared_embeddings(random_model(6)), "int8"),
    ]
    return [(_files(partial(model.save, storage=storage)), random_inputs(model, 3)) for model, storage in made]


@cache
def forecasters() -> list[tuple[Files, list[Any]]]:
    """Files of a forecaster of two series with their times, and of one of a series with an exogenous one."""
    rng = np.random.default_rng(7)
    timed = gw.Forecaster.fit(frame(40, 40), **SHOP, horizon=3, season=6, epochs=1, min_steps=0, units=3)
    one = pd.DataFrame({"ds": range(40), "y": seasonal(40), "price": rng.normal(size=40), "sale": np.arange(40) % 3})
    columns: dict[str, Any] = {"past": ["price"], "future": ["sale"]}
    driven = gw.Forecaster.fit(one, horizon=2, **columns, epochs=1, min_steps=0, units=2)
    return [(_files(timed.save), []), (_files(driven.save), [])]


def _with_shared_embeddings(model: Model) -> Model:
    weight = np.array(model.parameters["embedding.weight"])
    weight[9:] = weight[2]
    return model.with_lstm(parameters={**model.parameters, "embedding.weight": weight})


@cache
def pretrained_models() -> list[tuple[Files, list[Any]]]:
    """Files of two pretrained models, with LSTMs and without."""
    rng = np.random.default_rng(6)
    made: list[tuple[Files, list[Any]]] = []
    for units in (4, 0):
        shapes = language_model_shapes(TOKENS.vocab_size, 5, units)
        parameters = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
        metadata = PretrainedMetadata(n_train=5, n_words=50, epochs=1.0, perplexity={"forward": 9.5}, size="small")
        made.append((_files(PretrainedLM(TOKENS, parameters, metadata, HISTORY).save), []))
    return made


def _files(save: Callable[[Path], object]) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "model")
        return dict(load_folder(Path(folder) / "model").files)


def use_model(model: Model, inputs: list[Any], rng: Rng) -> None:
    """Call what users call."""
    model.card()
    repr(model)
    assert np.isfinite(model.predict_proba(inputs)).all(), "a prediction is not finite"
    model.predict(inputs)
    if rng.random() < 0.1:
        model.explain(inputs[0])


def use_forecaster(model: gw.Forecaster, inputs: list[Any], rng: Rng) -> None:
    """Call what users call."""
    model.card()
    repr(model)
    future = None
    if model.series.roles.future:
        future = pd.DataFrame({"ds": range(60), "sale": range(60)})
    forecast = model.predict(future=future, level=[50, 95])
    assert isinstance(forecast, pd.DataFrame)
    numbers = forecast.drop(columns=[model.series.roles.id, model.series.roles.time]).to_numpy(float)
    assert np.isfinite(numbers).all(), "a forecast is not finite"
    if rng.random() < 0.1:
        model.explain(series=model.names[-1])


def use_pretrained(model: PretrainedLM, inputs: list[Any], rng: Rng) -> None:
    """Call what users call."""
    model.card()
    assert model.summary


def damage(rng: Rng, path: Path, others: list[Files]) -> None:
    """Change the folder on the disk; its manifest stays, or is changed itself."""
    name = choice(rng, sorted(os.listdir(path)))
    file = path / name
    if not file.is_file() or file.stat().st_size > 2**20:  # changed before
        return
    raw = file.read_bytes()
    match int(rng.integers(9)):
        case 0 | 1 | 2:
            file.write_bytes(change_bytes(rng, raw))
        case 3:
            file.write_bytes(change_file(rng, name, raw))
        case 4:
            os.truncate(file, choice(rng, [0, 2**20, 2**33, 2**40]))  # sparse
        case 5:
            other = path / choice(rng, sorted(os.listdir(path)))
            if other.is_file() and other.stat().st_size < 2**20:
                file.write_bytes(other.read_bytes())
        case 6:
            file.write_bytes(choice(rng, others).get(name, b"{}"))
        case 7:
            (path / choice(rng, NAMES)).write_bytes(raw)
        case _:
            _replace(rng, file, raw)


def _replace(rng: Rng, file: Path, raw: bytes) -> None:
    """Put something that is not a regular file of one name in the place of a file."""
    file.unlink()
    match int(rng.integers(6)):
        case 0:
            outside = file.parent.parent / "outside"
            outside.write_bytes(raw)
            file.symlink_to(outside)
        case 1:
            file.symlink_to(file.name)
        case 2:
            os.mkfifo(file)
        case 3:
            file.mkdir()
        case 4:
            here = os.getcwd()
            os.chdir(file.parent)  # a socket's path has at most 108 bytes
            try:
                with socket.socket(socket.AF_UNIX) as server:
                    server.bind(file.name)
            finally:
                os.chdir(here)
        case _:
            file.symlink_to("/dev/zero")


def forge(rng: Rng, files: Files, others: list[Files]) -> Files:
    """Other content, for which the manifest is made anew."""
    files = dict(files)
    for _ in range(int(rng.integers(1, 4))):
        name = choice(rng, sorted(files))
        match int(rng.integers(8)):
            case 0:
                del files[name]
                if not files:
                    files["README.md"] = b""
            case 1:
                other = choice(rng, others)
                files[name] = other.get(name, b"")
            case 2:
                files[choice(rng, ["extra.json", "units.json", "history.jsonl", "ngrams.safetensors"])] = files[name]
            case _:
                files[name] = change_file(rng, name, files[name])
    return files


def _attack(
    rng: Rng,
    folder: Path,
    good: list[tuple[Files, list[Any]]],
    load: Callable[[Path], Any],
    use: Callable[[Any, list[Any], Rng], None],
) -> None:
    files, inputs = choice(rng, good)
    others = [other for other, _ in good]
    path, forged = folder / "model", bool(rng.random() < 0.6)
    try:
        save_folder(path, forge(rng, files, others) if forged else files)
        before = load_folder(path)
        for _ in range(0 if forged else int(rng.integers(1, 3))):
            damage(rng, path, others)
        model = load(path)
        found = load_folder(path)
        assert (found.fingerprint, found.files) == (before.fingerprint, before.files), "a damaged folder was loaded"
        parameters = model.ensemble.lstm.parameters if isinstance(model, gw.Forecaster) else model.parameters
        check_weights(parameters, weights_file(found.files))
        use(model, inputs, rng)
    except GatewiseError as error:
        check_message(error)


def weights_file(files: Mapping[str, bytes]) -> bytes:
    """The file with the parameters of the LSTM, or of a pretrained model."""
    members = json.loads(files["config.json"]).get("members", [])
    return files[next((one["file"] for one in members if one["kind"] in ("lstm", "window_lstm")), "model.safetensors")]


def check_weights(parameters: Mapping[str, Any], raw: bytes) -> None:
    """The float32 tensors are those of the file, as safetensors reads it. int8 and float16 have their own tests."""
    stored = safetensors.numpy.load(raw)
    for name, array in parameters.items():
        if name in stored and stored[name].dtype == np.float32:
            assert array.tobytes() == stored[name].tobytes(), f"{name} differs from the file"


@ATTACKS.add("model-folders", 200, 20_000, prepare=models)
def _model(rng: Rng, folder: Path) -> None:
    """A model folder loads as it was saved or is refused in one line. A forged folder loads the weights that its file
    holds, or is refused.

    changed bytes, exchanged and missing files, links, FIFOs, sockets, sparse files, Unicode names; forged JSON, tensors
    and weights with a manifest that fits
    """
    _attack(rng, folder, models(), gw.load, use_model)


@ATTACKS.add("forecaster-folders", 60, 20_000, prepare=forecasters)
def _forecaster(rng: Rng, folder: Path) -> None:
    """A forecaster's folder loads as it was saved or is refused in one line. A forged one loads the weights that its
    file holds, or is refused.

    the same changes, of forecasters with calendars, several series, past and future columns
    """
    _attack(rng, folder, forecasters(), gw.load, use_forecaster)


@ATTACKS.add("pretrained-folders", 100, 20_000, prepare=pretrained_models)
def _pretrained(rng: Rng, folder: Path) -> None:
    """A pretrained model loads as it was saved or is refused in one line.

    the same changes
    """
    _attack(rng, folder, pretrained_models(), load_pretrained, use_pretrained)


IDENTITY = json.dumps({"seed": 3, "sha256": "0" * 64})
WEIGHTS = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.arange(3, dtype=np.float32)}
GROUPS = {"weights": WEIGHTS, "best": WEIGHTS}
PROGRESS = Progress(7, 9, 3.5, 4, 2, 1.5, [EpochLog(1, 0.5, 0.75, 0.25, None, 1.5, True)])


@ATTACKS.add("checkpoints", 200, 20_000)
def _checkpoint(rng: Rng, folder: Path) -> None:
    """A run never continues from a checkpoint with a changed byte. A forged checkpoint gives the weights that its file
    holds, or is refused in one line.

    changed bytes, links, FIFOs; forged progress, identity and tensors with a checksum that fits
    """
    place = folder / "run"
    place.mkdir()
    write_checkpoint(place, IDENTITY, PROGRESS, GROUPS, Adam(WEIGHTS))
    file, forged = place / FILE, bool(rng.random() < 0.4)
    raw = file.read_bytes()
    if forged:
        _forge_checkpoint(rng, file, raw)
    elif rng.random() < 0.7:
        file.write_bytes(change_bytes(rng, raw))
    elif rng.random() < 0.5:
        _replace(rng, file, raw)
    else:
        os.truncate(file, 2**40)  # sparse
    try:
        content = read_verified(file)
        progress, groups = parse_checkpoint(content, place, IDENTITY, GROUPS, Adam(WEIGHTS))
    except GatewiseError as error:
        check_message(error)
        return
    assert forged or content == raw, "a damaged checkpoint was read"
    stored = safetensors.numpy.load(content)
    for group, arrays in groups.items():
        found = {f"{group}/{name}": array for name, array in arrays.items()}
        check_weights(found, content)
        assert set(arrays) == set(WEIGHTS), f"{group} has other arrays"
        assert stored.keys() >= found.keys(), f"{group} has other arrays than the file"
    assert progress.position
    assert isinstance(progress.history_lines, str)


def _forge_checkpoint(rng: Rng, file: Path, raw: bytes) -> None:
    """Other content with a checksum that fits."""
    written = {f"{group}/{name}": array for group, arrays in GROUPS.items() for name, array in arrays.items()}
    written |= Adam(WEIGHTS).state()
    tensors = dict(tensors_from_bytes(raw, {name: (a.shape, a.dtype.name) for name, a in written.items()}))
    metadata = {name: value for name, value in metadata_of(raw).items() if name in ("identity", "progress")}
    name = choice(rng, ["progress", "progress", "identity", "tensors"])
    if name == "tensors":
        change_value(rng, tensors)
        tensors = {key: value for key, value in tensors.items() if isinstance(value, np.ndarray)} or {"w": WEIGHTS["w"]}
    else:
        metadata[name] = change_json(rng, metadata[name].encode()).decode("utf-8", "replace")
    try:
        file.write_bytes(tensors_to_bytes(tensors, metadata, checksum=True))
    except GatewiseError:  # what cannot be written
        file.write_bytes(raw)
