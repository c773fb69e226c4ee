"""Equal seeds give equal bits, also after Ctrl-C or kill -9 and from a checkpoint, which is read strictly."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError, ModelFileError, TrainingError
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.storage.atomic import locked
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes
from gatewise.training import Callback, Interrupted, checkpoint
from gatewise.training.callback import EpochLog
from gatewise.training.checkpoint import FILE, Progress, parse_checkpoint, read_verified, write_checkpoint
from gatewise.training.optim import Adam
from gatewise.training.pretrain import pretrain
from gatewise.training.train import train
from gatewise.types import Array
from tests.kernels.batches import needs_native
from tests.refusals import assert_refused
from tests.training.callbacks import InterruptAt, Recorder, assert_same
from tests.training.test_series import waves
from tests.training.texts import (
    LANGUAGE_MODEL,
    RULES,
    language_model,
    made_corpus,
    made_rare,
    made_ratings,
    made_reviews,
    rated_texts,
    review_texts,
)

pytestmark = pytest.mark.training
SMALL: dict[str, Any] = {"units": 12, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80}
OPTIONS: dict[str, Any] = SMALL | {"epochs": 4, "seed": 21}


def pretrained_with(**given: Any) -> PretrainedLM:
    recipe = replace(LANGUAGE_MODEL, units=16, epochs=2, dropout_word=0.1, dropout_output=0.2)
    return pretrain(made_corpus(120, 5), recipe=recipe, **given)


def cross_validated(**given: Any) -> Model:
    rows, labels = waves(40, 3, channels=2)
    return train(rows, labels, epochs=3, units=3, convolutions__features=168, **given)


def tuned(**given: Any) -> Model:
    how: dict[str, Any] = {"batch_size": 16, "learning_rate": 0.02, "epochs": 2, "min_steps": 0, "ngrams__order": 2}
    start: dict[str, Any] = {"pretrained": language_model(), "unlabelled": review_texts(60, 41)}
    return train(made_reviews(200, 3), **how, **start, **given)


RUNS: dict[str, Callable[..., Model | PretrainedLM]] = {
    "fast": partial(train, made_reviews(120, 7), epochs=2, dropout_output=0.2, layers=2, **SMALL),
    "tutorial": partial(train, made_reviews(120, 7), epochs=2, recipe="tutorial", max_length=60, **SMALL),
    "series": cross_validated,
    "pretraining": pretrained_with,
    "weighted": partial(train, made_rare(240, 9), class_weight="balanced", **OPTIONS),
    "adversarial": partial(train, made_reviews(200, 1), adversarial=0.02, **OPTIONS),
    "regression": partial(train, made_ratings(160, 11), **OPTIONS),
    "finetune": partial(tuned, recipe="finetune", student_epochs=2, adversarial=0.01),
    "best": partial(tuned, recipe="best", student_epochs=2),
    "few-shot": partial(tuned, recipe="few-shot", lsa_components=6),
    "rules": partial(
        train, made_reviews(120, 7), epochs=2, unlabelled=rated_texts(200, 5), rules=RULES, ngrams__order=2, **SMALL
    ),
}


def arrays_of(model: Model | PretrainedLM) -> dict[str, Array]:
    arrays = dict(model.parameters)
    if isinstance(model, Model):
        arrays |= {f"{member.kind} weight": member.weight for member, _ in model.ensemble.others}
        arrays |= {"weights": np.array(model.ensemble.weights), "shift": model.ensemble.shift}
    return arrays


@needs_native
@pytest.mark.parametrize("kind", ["fast", "tutorial", "series", "finetune", "pretraining"])
def test_a_seed_gives_equal_bits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two directions run at the same time on two threads, one after the other on one."""
    found = []
    for threads, seed in (("2", 9), ("2", 9), ("2", 10), ("1", 9)):
        monkeypatch.setenv("GATEWISE_THREADS", threads)
        found.append(arrays_of(RUNS[kind](seed=seed)))
    one, again, other, alone = found
    assert one.keys() == again.keys() == alone.keys()
    for name, array in one.items():
        assert array.tobytes() == again[name].tobytes(), name
    differ = [name for name, array in one.items() if array.tobytes() != other[name].tobytes()]
    assert {name for name in one if name.endswith("weight")} <= set(differ)
    for name, array in one.items():
        np.testing.assert_allclose(alone[name], array, rtol=0, atol=1e-3 * np.abs(array).max(), err_msg=name)


def test_interrupted_in_a_fold_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninterrupted = cross_validated(seed=9)
    with monkeypatch.context() as context:
        context.setattr("gatewise.training.loop.Callback", lambda: InterruptAt(2, 1))
        with pytest.raises(Interrupted, match=r"stopped in epoch 1 of 3; .*resume"):
            cross_validated(seed=9, out=tmp_path / "m")
    resumed = cross_validated(seed=9, out=tmp_path / "m", resume=True)
    assert resumed.metadata.best_epoch == uninterrupted.metadata.best_epoch
    assert_same(resumed, uninterrupted)


@pytest.mark.parametrize(("epoch", "step"), [(1, 3), (3, 1)])
def test_interrupted_by_ctrl_c_and_resumed(tmp_path: Path, epoch: int, step: int) -> None:
    data = made_reviews(200, 30)
    uninterrupted = train(data, **OPTIONS)
    with pytest.raises(Interrupted, match="resume") as caught:
        train(data, out=tmp_path / "m", callbacks=InterruptAt(epoch, step), **OPTIONS)
    usable = gw.load(tmp_path / "m")
    assert usable.predict(data.inputs[:5]).tolist() == caught.value.model.predict(data.inputs[:5]).tolist()
    assert usable.metadata.epochs == epoch - 1
    assert usable.ensemble.get("ngrams") is None, "they are fitted after the last epoch"
    for model in (caught.value.model, usable):
        assert model.metadata.interrupted == f"stopped in epoch {epoch} of 4"
        assert f"| interrupted | stopped in epoch {epoch} of 4; the run is not finished |" in model.card()
    resumed = train(data, out=tmp_path / "m", resume=True, **OPTIONS)
    assert_same(resumed, uninterrupted)
    assert resumed.metadata.interrupted == gw.load(tmp_path / "m").metadata.interrupted == ""
    assert "interrupted" not in resumed.card()
    assert not (tmp_path / "m.run").exists()


def test_the_model_of_half_an_epoch_does_not_depend_on_a_checkpoint(tmp_path: Path) -> None:
    """Embedding rows that the last batches did not read have made up for their steps in both."""
    data, found = made_reviews(200, 39), []
    for out in (None, tmp_path / "m"):
        with pytest.raises(Interrupted) as caught:
            train(data, out=out, callbacks=InterruptAt(1, 7), **OPTIONS)
        found.append(caught.value.model)
    assert_same(*found)


def test_half_an_epoch_does_not_replace_a_trained_model(tmp_path: Path) -> None:
    data = made_reviews(200, 35)
    before = train(data, out=tmp_path / "m", **OPTIONS)
    other: dict[str, Any] = {"out": tmp_path / "m", "overwrite": True, **OPTIONS, "seed": 22}
    with pytest.raises(Interrupted, match=r"stopped in epoch 1 of 4; continue with --resume"):
        train(data, callbacks=InterruptAt(1, 2), **other)
    assert_same(gw.load(tmp_path / "m"), before)
    assert_refused("the model so far is in", train, data, callbacks=InterruptAt(2, 2), **other, error=Interrupted)
    assert gw.load(tmp_path / "m").metadata.seed == 22


def test_neither_a_model_nor_an_unfinished_run_is_overwritten_silently(tmp_path: Path) -> None:
    data, out = made_reviews(60, 38), tmp_path / "m"
    options: dict[str, Any] = {**OPTIONS, "ngrams__order": 0}
    with pytest.raises(Interrupted):
        train(data, out=out, callbacks=InterruptAt(2, 1), **options)
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"m.run' holds an unfinished run: continue it with --resume .* --overwrite"):
        train(data, out=out, **{**options, "seed": 22})
    with pytest.raises(InputError, match="either resume, which continues the run, or overwrite"):
        train(data, out=out, resume=True, overwrite=True, **options)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == left
    anew = train(data, out=out, overwrite=True, **{**options, "seed": 22})
    assert_same(anew, train(data, **{**options, "seed": 22}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]
    with pytest.raises(InputError, match=r"m' exists: replace it with --overwrite .* or choose another folder"):
        train(data, out=out, **options)
    with pytest.raises(InputError, match=r"m' is a finished model, and there is no run to resume"):
        train(data, out=out, resume=True, **options)
    assert_same(gw.load(out), anew)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    data = made_reviews(200, 31)
    with pytest.raises(Interrupted):
        train(data, out=tmp_path / "m", callbacks=InterruptAt(1, 2), **OPTIONS)
    with pytest.raises(TrainingError, match="another run: it differs in seed"):
        train(data, out=tmp_path / "m", resume=True, **{**OPTIONS, "seed": 22})
    with pytest.raises(TrainingError, match="another run: it differs in data"):
        train(made_reviews(200, 32), out=tmp_path / "m", resume=True, **OPTIONS)


def test_a_run_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.run").mkdir()
    with locked(tmp_path / "m.run"), pytest.raises(TrainingError, match="in use"):
        train(made_reviews(60, 33), out=tmp_path / "m", **OPTIONS)


@pytest.mark.parametrize(("seconds", "step"), [(0.0, 9), (math.inf, 0)])
def test_a_checkpoint_is_due_within_an_epoch_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, step: int
) -> None:
    """A run that dies in step 10 of its first epoch continues from step 9 if the last checkpoint is old enough."""
    data, uninterrupted = made_reviews(200, 34), train(made_reviews(200, 34), **OPTIONS)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", seconds)
    died = Mock(spec=Callback)  # as by `kill -9`, without a checkpoint
    died.on_step_end.side_effect = [*[None] * 9, KeyError("died")]
    with pytest.raises(KeyError):
        train(data, out=tmp_path / "m", callbacks=died, **OPTIONS)
    recorder = Recorder()
    resumed = train(data, out=tmp_path / "m", resume=True, callbacks=recorder, **OPTIONS)
    assert (recorder.steps[0].epoch, recorder.steps[0].step) == (1, step + 1)
    assert_same(resumed, uninterrupted)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *[("weighted", 29), ("adversarial", 14), ("regression", 11), ("series", 3), ("few-shot", 4), ("rules", 25)],
        *[("finetune", 30), ("best", 15)],  # of the student, of the teacher
        *[("pretraining", 9), ("pretraining", 41)],
    ],
)
def test_each_kind_of_run_interrupted_and_resumed(kind: str, step: int, tmp_path: Path) -> None:
    run = RUNS[kind]
    uninterrupted = run()
    with pytest.raises(Interrupted, match="resume") as caught:
        run(out=tmp_path / "m", callbacks=Recorder(step))
    if kind == "regression":  # in the unit of the numbers
        assert abs(caught.value.model.predict(made_ratings(160, 11).inputs).mean() - 500) < 20
    assert_same(run(out=tmp_path / "m", resume=True), uninterrupted)


IDENTITY = json.dumps({"seed": 3, "sha256": "0" * 64})
WEIGHTS = {"w": np.arange(12, dtype=np.float32).reshape(3, 4)}
GROUPS = {"weights": WEIGHTS, "best": WEIGHTS}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.update(steps=-1), "steps must not be negative"),
        (lambda found: found.update(step="7"), "step must be a whole number"),
        (lambda found: found.update(loss_sum=True), "loss_sum must be a number"),
        (lambda found: found.update(other=1), "unknown key 'other'"),
        (lambda found: found.update(history=3), "history must be a list"),
        (lambda found: found.update(history=[3]), r"history\[0\]: must be an object"),
        (lambda found: found["history"][0].pop("loss"), r"history\[0\]: loss is missing"),
    ],
)
def test_progress_is_read_strictly(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    """Also where the checksum fits."""
    row = EpochLog(1, 0.5, 0.75, 0.25, None, 1.5, True)
    write_checkpoint(tmp_path, IDENTITY, Progress(7, 9, 3.5, 4, 2, 1.5, [row]), GROUPS, Adam(WEIGHTS))
    raw = (tmp_path / FILE).read_bytes()
    progress = json.loads(metadata_of(raw)["progress"])
    change(progress)
    shapes = {f"{group}/w": ((3, 4), "float32") for group in GROUPS}
    shapes |= {name: (value.shape, value.dtype.name) for name, value in Adam(WEIGHTS).state().items()}
    metadata = {"identity": IDENTITY, "progress": json.dumps(progress)}
    (tmp_path / FILE).write_bytes(tensors_to_bytes(tensors_from_bytes(raw, shapes), metadata, checksum=True))
    with pytest.raises(ModelFileError, match=message):
        parse_checkpoint(read_verified(tmp_path / FILE), tmp_path, IDENTITY, GROUPS, Adam(WEIGHTS))
