"""Equal seeds give equal bits, other seeds other bits, in every kind of run; threads change the last digits only."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import Interrupted
from gatewise.training.pretrain import pretrain
from gatewise.training.train import train
from gatewise.types import Array
from tests.kernels.batches import needs_native
from tests.training.callbacks import InterruptAt
from tests.training.test_convolutions import waves
from tests.training.texts import LANGUAGE_MODEL, made_corpus, made_reviews, review_texts

SMALL: dict[str, Any] = {"units": 12, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "epochs": 2}
DROPOUT: dict[str, Any] = {"dropout_output": 0.2, "layers": 2}


def pretrained_with(seed: int) -> PretrainedLM:
    recipe = replace(LANGUAGE_MODEL, units=16, epochs=2, dropout_word=0.1, dropout_output=0.2)
    return pretrain(made_corpus(120, 5), recipe=recipe, seed=seed)


def fast(seed: int, **options: Any) -> Model:
    return train(made_reviews(120, 7), recipe="fast", seed=seed, **SMALL, **DROPOUT, **options)


def tutorial(seed: int, **options: Any) -> Model:
    return train(made_reviews(120, 7), recipe="tutorial", seed=seed, max_length=60, **SMALL, **options)


def cross_validated(seed: int, **options: Any) -> Model:
    rows, labels = waves(40, 3, channels=2)
    return train(rows, labels, seed=seed, epochs=3, units=3, convolutions__features=168, **options)


def student(seed: int, pretrained: PretrainedLM, **options: Any) -> Model:
    how: dict[str, Any] = {"epochs": 1, "min_steps": 0, "student_epochs": 1, "batch_size": 16, "ngrams__order": 2}
    given: dict[str, Any] = {"pretrained": pretrained, "unlabelled": review_texts(40, 41), "recipe": "finetune"}
    return train(made_reviews(100, 3), seed=seed, adversarial=0.01, **how, **given, **options)


def arrays_of(model: Model | PretrainedLM) -> dict[str, Array]:
    arrays = dict(model.parameters)
    if isinstance(model, Model):
        arrays |= {f"{member.kind} weight": member.weight for member, _ in model.ensemble.others}
        arrays |= {"weights": np.array(model.ensemble.weights), "shift": model.ensemble.shift}
    return arrays


@needs_native
@pytest.mark.parametrize("kind", ["fast", "tutorial", "cross-validation", "student", "pretraining"])
def test_a_seed_gives_equal_bits(kind: str, pretrained: PretrainedLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two directions run at the same time on two threads, one after the other on one."""
    runs: dict[str, Callable[[int], Model | PretrainedLM]] = {
        "fast": fast,
        "tutorial": tutorial,
        "cross-validation": cross_validated,
        "student": lambda seed: student(seed, pretrained),
        "pretraining": pretrained_with,
    }
    found = []
    for threads, seed in (("2", 9), ("2", 9), ("2", 10), ("1", 9)):
        monkeypatch.setenv("GATEWISE_THREADS", threads)
        found.append(arrays_of(runs[kind](seed)))
    one, again, other, alone = found
    assert one.keys() == again.keys() == alone.keys()
    for name, array in one.items():
        assert array.tobytes() == again[name].tobytes(), name
    differ = [name for name, array in one.items() if array.tobytes() != other[name].tobytes()]
    assert {name for name in one if name.endswith("weight")} <= set(differ)
    for name, array in one.items():
        np.testing.assert_allclose(alone[name], array, rtol=0, atol=1e-3 * np.abs(array).max(), err_msg=name)


def test_interrupted_in_a_fold_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninterrupted = cross_validated(9)
    with monkeypatch.context() as context:
        context.setattr("gatewise.training.members.lstm.Callback", lambda: InterruptAt(2, 1))
        with pytest.raises(Interrupted, match=r"stopped in epoch 1 of 3; .*resume"):
            cross_validated(9, out=tmp_path / "m")
    resumed = cross_validated(9, out=tmp_path / "m", resume=True)
    assert resumed.metadata.best_epoch == uninterrupted.metadata.best_epoch
    for name, array in arrays_of(uninterrupted).items():
        assert array.tobytes() == arrays_of(resumed)[name].tobytes(), name
