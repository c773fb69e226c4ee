"""`gatewise.pretrain`: it learns, resumes bit for bit, validates its folder, and refuses bad input in one line."""

import copy
import itertools
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import ModelFileError, TrainingError
from gatewise.model.pretrained import PretrainedLM
from gatewise.storage.folder import load_folder, save_folder
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.training import PretrainRecipe, pretrain_recipe
from gatewise.training.language_loop import Streams
from gatewise.training.pretrain import pretrain
from tests.exchange.random_models import random_model
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder, assert_same
from tests.training.texts import made_corpus

RECIPE = PretrainRecipe(
    "test",
    embedding_dim=16,
    units=20,
    vocab_size=100,
    epochs=3,
    batch_size=8,
    bptt=11,
    num_sampled=24,
    learning_rate=0.02,
    dropout_word=0.02,
)


@pytest.fixture(scope="module")
def trained() -> PretrainedLM:
    return pretrain(made_corpus(300, 5), recipe=RECIPE, seed=7)


def test_it_learns_the_next_word(trained: PretrainedLM) -> None:
    # Six words can follow a word, three of them in the text's mood: the optimal perplexity is 3.
    ways = trained.metadata.perplexity
    assert ways["forward"] < 12
    assert ways["backward"] < 30


def test_minutes_set_the_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that advances half a second per call, so that a step takes half a second."""
    calls = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: 0.5 * next(calls))
    recipe = PretrainRecipe("test", embedding_dim=8, units=8, vocab_size=100, minutes=1.0, batch_size=8, bptt=11)
    recorder = Recorder()
    pretrain(made_corpus(300, 5), recipe=recipe, callbacks=recorder)
    seen = [step.steps for step in recorder.steps]
    left = 60 - 0.5 * (2 * 12 + 1)  # the clock is read before and after each timed step, and at their end
    assert set(seen) == {int(0.95 * left / 0.5)}
    assert len(seen) == seen[0]


def test_minutes_choose_the_size() -> None:
    assert [pretrain_recipe(minutes=m).size for m in (1, 5, 10, 60)] == ["embeddings", "small", "medium", "large"]
    assert pretrain_recipe("small", epochs=3).epochs == 3
    assert pretrain_recipe("small", minutes=3).epochs == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pretrain_recipe("huge"), "embeddings, small"),
        (lambda: pretrain_recipe("small", minutes=3, epochs=1), "not both"),
        (lambda: PretrainRecipe("x", 4, 4), "minutes or epochs"),
        (lambda: pretrain(["a b"], recipe=RECIPE, minutes=1), "minutes is for a size; a PretrainRecipe has minutes"),
        (lambda: pretrain(["one text", " "], recipe=RECIPE), "texts: row 1 is empty"),
        (lambda: pretrain("one text", recipe=RECIPE), "not one text"),
        (lambda: pretrain([], recipe=RECIPE), "the texts given: there is no text to pretrain on"),
        (lambda: pretrain(["one text here", "and one text there"], recipe=RECIPE), "too few"),
    ],
)
def test_what_cannot_be_pretrained(call: Callable[[], object], message: str) -> None:
    assert_refused(message, call)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_loss_that_is_not_finite_is_an_error_without_warnings(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", threads)
    with pytest.raises(TrainingError, match="the loss is not finite at step 2; a lower learning rate helps"):
        pretrain(made_corpus(300, 5), recipe=replace(RECIPE, learning_rate=1e20), seed=7)


def test_saved_and_loaded(trained: PretrainedLM, tmp_path: Path) -> None:
    trained.save(tmp_path / "b")
    loaded = gw.load_pretrained(tmp_path / "b")
    assert_same(trained, loaded)
    assert loaded.metadata == trained.metadata
    assert "two LSTMs of 20 units" in (tmp_path / "b" / "README.md").read_text()
    assert_refused(r"config\.json", gw.load, tmp_path / "b", error=ModelFileError)
    with pytest.raises(ValueError, match="read-only"):
        loaded.parameters["decoder.bias"][0] = 1
    # As scikit-learn clones an estimator's parameters, and as a process pool sends them.
    for again in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert_same(loaded, again)
        assert not any(array.flags.writeable for array in again.parameters.values())


def test_a_classifier_folder_is_refused(tmp_path: Path) -> None:
    random_model().save(tmp_path / "m")
    assert_refused("not a pretrained model", gw.load_pretrained, tmp_path / "m", error=ModelFileError)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c | {"units": 21}, "model.safetensors"),
        (lambda c: c | {"vocab_size": c["vocab_size"] + 1}, "vocabulary"),
        (lambda c: c | {"units": -1}, "whole numbers"),
        (lambda c: c | {"embedding_dim": True}, "whole numbers"),
        (lambda c: c | {"more": 1}, "the keys must be"),
        (lambda c: c | {"kind": "another"}, "not a pretrained model"),
        (lambda c: c | {"metadata": {"lambda": "x"}}, "unknown key"),
        (lambda c: c | {"embedding_dim": 10**12}, "model.safetensors"),
        (lambda c: c | {"preprocessor": []}, "encoding: kind must be one of"),
    ],
)
def test_an_inconsistent_folder_is_refused(trained: PretrainedLM, tmp_path: Path, change: Any, says: str) -> None:
    """A complete folder with correct hashes and wrong content."""
    trained.save(tmp_path / "b")
    files = dict(load_folder(tmp_path / "b").files)
    files["config.json"] = json_bytes(change(parse_json(files["config.json"], "config.json")))
    save_folder(tmp_path / "hostile", files)
    assert_refused(says, gw.load_pretrained, tmp_path / "hostile", error=ModelFileError)


@pytest.mark.parametrize(
    ("line", "says"),
    [(b"{", ":2: not JSON"), (b"[" * 100_000, ":2: nested"), (b"1" * 5_000, ":2: a number"), (b"\xff", ": not UTF-8")],
)
def test_an_invalid_history_is_refused(trained: PretrainedLM, tmp_path: Path, line: bytes, says: str) -> None:
    trained.save(tmp_path / "b")
    files = {**load_folder(tmp_path / "b").files, "history.jsonl": b'{"epoch": 1}\n' + line}
    save_folder(tmp_path / "hostile", files)
    assert_refused(rf"history\.jsonl{says}", gw.load_pretrained, tmp_path / "hostile", error=ModelFileError)


def _texts(count: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(2, 90, int(rng.integers(1, 40))).astype(np.int32) for _ in range(count)]


@pytest.mark.parametrize("reverse", [False, True])
def test_an_epoch_has_all_texts_in_a_new_order(reverse: bool) -> None:
    texts = _texts(60, 1)
    streams = Streams(texts, 4, 7, seed=3)
    lines = streams.epoch(0, reverse)
    assert lines.shape == (4, streams.pieces * 7 + 1)
    # Whole texts that lie within one stream are found in it, behind a boundary.
    found = 0
    for line in lines:
        starts = np.flatnonzero(line == 0)
        for begin, end in itertools.pairwise(starts):
            piece = line[begin + 1 : end]
            found += any(np.array_equal(piece[::-1] if reverse else piece, text) for text in texts)
    assert found > 40
    assert not np.array_equal(lines, streams.epoch(1, reverse))
    assert np.array_equal(lines, Streams(texts, 4, 7, seed=3).epoch(0, reverse))


def test_few_words_take_fewer_streams() -> None:
    assert Streams(_texts(10, 2), 64, 5, seed=0).batch < 64
