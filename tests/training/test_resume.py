"""A run interrupted by Ctrl-C or kill -9 and resumed gives the bits of an uninterrupted one."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gatewise as gw
from gatewise.errors import InputError, TrainingError
from gatewise.model.model import Model
from gatewise.storage.atomic import locked
from gatewise.training import Interrupted, loop
from gatewise.training.train import train
from tests.training.callbacks import DieAt, InterruptAt, Recorder
from tests.training.test_regression import made_ratings
from tests.training.test_series import two_channels
from tests.training.texts import language_model, made_rare, made_reviews, review_texts

OPTIONS: dict[str, Any] = {"units": 12, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "epochs": 4, "seed": 21}


def _same(a: Model, b: Model) -> None:
    for name, array in a.parameters.items():
        assert array.tobytes() == b.parameters[name].tobytes(), name
    rows = [[line.split('"seconds"')[0] for line in m.history_jsonl.splitlines()] for m in (a, b)]
    assert rows[0] == rows[1]
    assert a.ensemble.to_files() == b.ensemble.to_files()
    assert (a.target, a.metadata.calibration) == (b.target, b.metadata.calibration)


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
    _same(resumed, uninterrupted)
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
    _same(*found)


def test_half_an_epoch_does_not_replace_a_trained_model(tmp_path: Path) -> None:
    data = made_reviews(200, 35)
    before = train(data, out=tmp_path / "m", **OPTIONS)
    other: dict[str, Any] = {"out": tmp_path / "m", "overwrite": True, **OPTIONS, "seed": 22}
    with pytest.raises(Interrupted, match=r"stopped in epoch 1 of 4; continue with --resume"):
        train(data, callbacks=InterruptAt(1, 2), **other)
    _same(gw.load(tmp_path / "m"), before)
    with pytest.raises(Interrupted, match="the model so far is in"):
        train(data, callbacks=InterruptAt(2, 2), **other)
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
    _same(anew, train(data, **{**options, "seed": 22}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]
    with pytest.raises(InputError, match=r"m' exists: replace it with --overwrite .* or choose another folder"):
        train(data, out=out, **options)
    with pytest.raises(InputError, match=r"m' is a finished model, and there is no run to resume"):
        train(data, out=out, resume=True, **options)
    _same(gw.load(out), anew)


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
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    with pytest.raises(KeyError):
        train(data, out=tmp_path / "m", callbacks=DieAt(10), **OPTIONS)
    recorder = Recorder()
    resumed = train(data, out=tmp_path / "m", resume=True, callbacks=recorder, **OPTIONS)
    assert (recorder.steps[0].epoch, recorder.steps[0].step) == (1, step + 1)
    _same(resumed, uninterrupted)


TUNED: dict[str, Any] = {"batch_size": 16, "learning_rate": 0.02, "epochs": 2, "min_steps": 40, "ngrams__order": 2}
DISTILLED: dict[str, Any] = {**TUNED, "student_epochs": 2}


def _tuned(**options: Any) -> Model:
    return train(made_reviews(200, 3), pretrained=language_model(), unlabelled=review_texts(60, 41), **options)


RUNS: dict[str, Callable[..., Model]] = {
    "n-grams": lambda **given: train(made_reviews(240, 36), **OPTIONS, ngrams__order=3, **given),
    "weighted": lambda **given: train(made_rare(240, 9), **OPTIONS, class_weight="balanced", **given),
    "adversarial": lambda **given: train(made_reviews(200, 1), **OPTIONS, adversarial=0.02, **given),
    "regression": lambda **given: train(made_ratings(160, 11), **OPTIONS, **given),
    "series": lambda **given: train(*two_channels(24, 3), epochs=2, units=3, convolutions__features=168, **given),
    "finetune": lambda **given: _tuned(**DISTILLED, recipe="finetune", **given),
    "best": lambda **given: _tuned(**DISTILLED, recipe="best", **given),
    "few-shot": lambda **given: _tuned(**TUNED, recipe="few-shot", lsa_components=6, **given),
}


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *[("n-grams", 55), ("weighted", 29), ("adversarial", 14), ("regression", 11), ("series", 3), ("few-shot", 4)],
        *[("finetune", 70), ("best", 52)],  # of the student, of the teacher
    ],
)
def test_each_kind_of_run_interrupted_and_resumed(kind: str, step: int, tmp_path: Path) -> None:
    run = RUNS[kind]
    uninterrupted = run()
    with pytest.raises(Interrupted, match="resume") as caught:
        run(out=tmp_path / "m", callbacks=Recorder(step))
    if kind == "regression":  # in the unit of the numbers
        assert abs(caught.value.model.predict(made_ratings(160, 11).inputs).mean() - 500) < 20
    _same(run(out=tmp_path / "m", resume=True), uninterrupted)
