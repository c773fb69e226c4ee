"""A model with n-grams: predictions, saving and loading, and hostile folders."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.kernels.ragged import Ragged
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.model.files import NGRAMS_FILE as FILE
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import SeriesPreprocessor, StandardScaler, TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.storage import load_folder, save_folder, tensors_to_bytes
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from tests.explain.random_net import parameters_of
from tests.members.ngram_keys import tokens_of

TEXTS = ["a film that stays with you, a film to see", "two hours that never come back", "so so, and so on, and on"]


def model_of(outputs: int = 1, kind: str = "tokens") -> Model:
    """A network that reads 6 words of a text, with the n-grams of the first two texts."""
    encoding: Any = TokenEncoding.fit(TEXTS, min_count=1) if kind == "tokens" else KerasEncoding(keras_index(TEXTS))
    arch = Architecture("tokens", encoding.vocab_size, 3, 4, outputs=outputs, max_length=6, truncation="middle")
    keys = np.unique(np.concatenate([k for k, _ in keys_of(Ragged.of(encoding.encode_batch(TEXTS[:2])), 3)]))
    weight = np.random.default_rng(3).normal(0.1, 0.5, (len(keys), outputs)).astype(np.float32)
    classes = ("no", "yes") if outputs == 1 else tuple("abcde"[:outputs])
    return Model(arch, parameters_of(arch, 4), TextPreprocessor(encoding), classes, ngrams=Ngrams(3, keys, weight))


@pytest.mark.parametrize(("outputs", "kind"), [(1, "tokens"), (3, "tokens"), (1, "keras")])
def test_it_adds_both_and_comes_back_from_its_folder(tmp_path: Path, outputs: int, kind: str) -> None:
    model = model_of(outputs, kind)
    alone = dataclasses.replace(model, ngrams=None)
    assert model.ngrams is not None
    added = np.zeros((len(TEXTS), outputs))
    weight = {tokens_of(int(key)): row for key, row in zip(model.ngrams.keys, model.ngrams.weight, strict=True)}
    for row, ids in zip(added, model.preprocessor.encode_batch(TEXTS), strict=True):
        tokens = ids.tolist()  # the whole text, though the network reads six words
        for phrase in {tuple(tokens[t : t + n]) for n in (1, 2, 3) for t in range(len(tokens) - n + 1)}:
            row += weight.get(phrase, 0)
    assert np.abs(added[:2]).min() > 0.1
    logits = model.logits(TEXTS)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, alone.logits(TEXTS) + added, atol=1e-5)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.ngrams is not None
    assert not again.ngrams.keys.flags.writeable
    assert again.logits(TEXTS).tobytes() == logits.tobytes()
    np.testing.assert_array_equal(again.ngrams.keys, model.ngrams.keys)
    assert (tmp_path / "m" / FILE).is_file()
    alone.save(tmp_path / "alone")
    assert load(tmp_path / "alone").ngrams is None
    assert not (tmp_path / "alone" / FILE).exists()
    assert f"| 1- to 3-grams | ({outputs},) | {len(model.ngrams) * outputs:,} |" in model.card()


def test_explained_like_predicted() -> None:
    model = model_of()
    found, seen = model.explain(TEXTS[0], "prefix-difference"), model.trace(TEXTS[0])
    logit = float(model.logits([TEXTS[0]])[0, 0])
    assert found.target_score == pytest.approx(logit, abs=1e-5)
    assert float(seen.prefix_logits[-1, 0]) == pytest.approx(logit, abs=1e-5)
    assert {" ".join(one.words) for one in found.ngrams} >= {"a film", "that stays with"}
    assert next(one.times for one in found.ngrams if one.words == ("a", "film")) == 2
    changed = model.intervene(TEXTS[0], words={"film": "hours"})
    edited = TEXTS[0].replace("film", "hours")
    assert float(changed.after.logits[0]) == pytest.approx(float(model.logits([edited])[0, 0]), abs=1e-5)


def test_series_models_have_no_ngrams() -> None:
    arch = Architecture("channels", 2, 0, 5)
    preprocessor = SeriesPreprocessor(
        StandardScaler.fit([np.random.default_rng(1).standard_normal((9, 2)).astype(np.float32)])
    )
    none = Ngrams(1, np.array([1]), np.ones((1, 1), np.float32))
    with pytest.raises(InputError, match="n-grams need token inputs"):
        Model(arch, parameters_of(arch, 5), preprocessor, ("a", "b"), ngrams=none)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("good") / "model"
    model_of().save(path)
    return dict(load_folder(path).files)


def refused(path: Path, files: dict[str, bytes], *words: str) -> None:
    save_folder(path, files)
    start = time.process_time()
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert len(str(caught.value)) < 600
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert time.process_time() - start < 2, "refused, but too late"


def changed(files: dict[str, bytes], change: Callable[[np.ndarray, np.ndarray], Any]) -> dict[str, bytes]:
    """The files with other keys and weights; the count in config.json agrees with them."""
    ngrams = model_of().ngrams
    assert ngrams is not None
    keys, weight = ngrams.keys.copy(), ngrams.weight.copy()
    new = change(keys, weight)
    keys, weight = new if isinstance(new, tuple) else (keys, weight)
    config = json.loads(files["config.json"])
    config["ngrams"]["count"] = len(keys)
    raw = tensors_to_bytes({"keys": keys, "weight": weight})
    return {**files, "config.json": json.dumps(config).encode(), FILE: raw}


def put(place: int, value: int) -> Callable[[np.ndarray, np.ndarray], None]:
    def change(keys: np.ndarray, weight: np.ndarray) -> None:
        keys[place] = value

    return change


TENSORS: list[tuple[Callable[[np.ndarray, np.ndarray], Any], str]] = [
    (lambda k, w: (k[::-1].copy(), w), "ascend"),
    (lambda k, w: (np.repeat(k, 2), np.repeat(w, 2, axis=0)), "ascend"),
    (put(-1, 2**62), "a token is not below"),
    (put(-1, 2**63 - 1), "a token is not below"),
    (put(0, 0), "a key does not have"),
    (put(0, -(2**63)), "a key does not have"),
    (lambda k, w: (np.sort(np.append(k, 2**20)), np.append(w, w[:1], axis=0)), "a token is not below"),
    (lambda k, w: (np.append(k, k[-1] // 2**21 * 2**21 + 2**21), np.append(w, w[:1], axis=0)), "a token is not below"),
    (lambda k, w: (k, w.astype(np.float64)), "F64"),
    (lambda k, w: (k.astype(np.int32), w), "I32"),
    (lambda k, w: (k, w[:-1]), "shape"),
    (lambda k, w: (k, w[:, 0]), "shape"),
    (lambda k, w: (k, np.repeat(w, 2, axis=1)), "shape"),
]


@pytest.mark.parametrize(("change", "word"), TENSORS)
def test_tensors_that_are_no_ngrams(
    files: dict[str, bytes], tmp_path: Path, change: Callable[[np.ndarray, np.ndarray], Any], word: str
) -> None:
    refused(tmp_path / "model", changed(files, change), word)


def test_weights_that_are_not_finite(files: dict[str, bytes], tmp_path: Path) -> None:
    for bits in (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\xff"):  # NaN, -infinity, where the last weight stands
        refused(tmp_path / f"m{bits[3]}", {**files, FILE: files[FILE][:-4] + bits}, FILE, "NaN or infinity")


@pytest.mark.parametrize("raw", [b"\x80\x04\x95\x00", b"", b"[" * 100_000])
def test_a_file_of_another_kind(files: dict[str, bytes], tmp_path: Path, raw: bytes) -> None:
    refused(tmp_path / "model", {**files, FILE: raw}, FILE)


def test_a_file_that_is_missing_or_that_nobody_speaks_of(files: dict[str, bytes], tmp_path: Path) -> None:
    refused(tmp_path / "a", {name: raw for name, raw in files.items() if name != FILE}, FILE)
    refused(tmp_path / "b", {**files, FILE: tensors_to_bytes({"keys": np.zeros(3, np.int64)})}, FILE)


ENTRIES: list[Any] = [None, [], {}, {"order": 3}, {"order": 3, "count": 1, "more": 2}, "3"]
NUMBERS: list[Any] = [10**7, 10**9, 10**30, -1, 0, 2.0, True, "2", None, [2]]


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_the_config_says_of_them(files: dict[str, bytes], tmp_path: Path, entry: Any) -> None:
    config = json.loads(files["config.json"])
    refused(tmp_path / "model", {**files, "config.json": json.dumps({**config, "ngrams": entry}).encode()}, "ngrams")


@pytest.mark.parametrize("field", ["order", "count"])
@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_of_the_config(files: dict[str, bytes], tmp_path: Path, field: str, value: Any) -> None:
    config = json.loads(files["config.json"])
    config["ngrams"][field] = value
    refused(tmp_path / "model", {**files, "config.json": json.dumps(config).encode()})


@pytest.mark.parametrize("order", [1, 2])
def test_an_order_that_the_keys_exceed(files: dict[str, bytes], tmp_path: Path, order: int) -> None:
    config = json.loads(files["config.json"])
    config["ngrams"]["order"] = order
    refused(tmp_path / "model", {**files, "config.json": json.dumps(config).encode()}, "a key does not have")


def test_logits_that_are_not_finite_are_an_error_everywhere(tmp_path: Path) -> None:
    """Finite weights can add up to infinity: the label would be made of NaN."""
    model = model_of(3)
    assert model.ngrams is not None
    weight = np.full_like(model.ngrams.weight, 3.4e38)
    model = dataclasses.replace(model, ngrams=Ngrams(3, model.ngrams.keys, weight))
    model.save(tmp_path / "m")
    model, fine = load(tmp_path / "m"), "so"
    for call in (model.predict, model.predict_proba, model.logits, model.decision_function):
        call([fine])
        with pytest.raises(InputError, match="input 1: the model overflows: a logit is not finite"):
            call([fine, TEXTS[0]])
    with pytest.raises(InputError, match="input 0: the model overflows"):
        model.evaluate([TEXTS[0]], ["a"])
    dense = {name: model.parameters[name].copy() for name in ("dense.weight", "dense.bias")}
    dense["dense.bias"][:] = 3.4e38
    dense["dense.weight"][:] = 3.4e38 * np.array([[1], [-1], [1]])  # one of them adds to the bias
    with pytest.raises(InputError, match="the model overflows"):
        dataclasses.replace(model, parameters={**model.parameters, **dense}, ngrams=None).explain(TEXTS[0])
