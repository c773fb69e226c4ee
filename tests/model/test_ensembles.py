"""Models with n-grams or convolutions beside the LSTM: predictions, explanations, saving and loading."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels.ragged import joined
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.model.model import Model, load
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from tests.members.ngram_keys import tokens_of
from tests.refusals import assert_refused
from tests.small_models import small_model

TEXTS = ["a film that stays with you, a film to see", "two hours that never come back", "so so, and so on, and on"]


def model_of(outputs: int = 1, kind: str = "tokens") -> Model:
    """An LSTM that reads 6 words of a text, with the n-grams of the first two texts."""
    encoding: Any = TokenEncoding.fit(TEXTS, min_count=1) if kind == "tokens" else KerasEncoding(keras_index(TEXTS))
    keys = np.unique(np.concatenate([k for k, _ in keys_of(*joined(encoding.encode_batch(TEXTS[:2])), 3)]))
    weight = np.random.default_rng(3).normal(0.1, 0.5, (len(keys), outputs)).astype(np.float32)
    classes = ("no", "yes") if outputs == 1 else tuple("abcde"[:outputs])
    given = {"members": [(Ngrams(3, keys, weight), 0.5)]}
    shape: dict[str, Any] = {"embedding_dim": 3, "units": 4, "max_length": 6, "truncation": "middle"}
    return small_model(encoding, classes, 4, given=given, **shape)


def without(model: Model) -> Model:
    return replace(model, ensemble=model.ensemble.alone())


@pytest.mark.parametrize(("outputs", "kind"), [(1, "tokens"), (3, "tokens"), (1, "keras")])
def test_it_adds_both(outputs: int, kind: str) -> None:
    """That it comes back from its folder: test_hostile_model.py."""
    model = model_of(outputs, kind)
    alone, ngrams = without(model), model.ensemble.get("ngrams")
    added = np.zeros((len(TEXTS), outputs))
    weight = {tokens_of(int(key)): row for key, row in zip(ngrams.keys, ngrams.weight, strict=True)}
    for row, ids in zip(added, model.preprocessor.encode_batch(TEXTS), strict=True):
        tokens = ids.tolist()  # the whole text, though the network reads six words
        for phrase in {tuple(tokens[t : t + n]) for n in (1, 2, 3) for t in range(len(tokens) - n + 1)}:
            row += weight.get(phrase, 0)
    assert np.abs(added[:2]).min() > 0.1
    np.testing.assert_allclose(model.logits(TEXTS), alone.logits(TEXTS) + 0.5 * added, atol=1e-5)
    assert f"| 1- to 3-grams | ({outputs},) | {len(ngrams) * outputs:,} |" in model.card()


def test_explained_like_predicted() -> None:
    model = model_of()
    found, seen = model.explain(TEXTS[0], "prefix-difference"), model.trace(TEXTS[0])
    logit = float(model.logits([TEXTS[0]])[0, 0])
    assert found.target_score == pytest.approx(logit, abs=1e-5)
    assert float(seen.prefix_logits[-1, 0]) == pytest.approx(logit, abs=1e-5)
    assert {" ".join(one.words) for one in found.phrases} >= {"a film", "that stays with"}
    assert next(one.times for one in found.phrases if one.words == ("a", "film")) == 2
    changed = model.intervene(TEXTS[0], words={"film": "hours"})
    edited = TEXTS[0].replace("film", "hours")
    assert float(changed.after.logits[0]) == pytest.approx(float(model.logits([edited])[0, 0]), abs=1e-5)


def test_logits_that_are_not_finite_are_an_error_everywhere(tmp_path: Path) -> None:
    """Finite weights can add up to infinity: the label would be made of NaN."""
    model, fine = model_of(3), TEXTS[2].split(",", maxsplit=1)[0]
    model = replace(model, ensemble=replace(model.ensemble, weights=(1.0, 1.7e308)))
    model.save(tmp_path / "m")
    model = load(tmp_path / "m")
    for call in (model.predict, model.predict_proba, model.logits, model.decision_function):
        call([fine])
        assert_refused("row 1: the model overflows: a logit is not finite", call, [fine, TEXTS[0]])
    assert_refused("row 0: the model overflows", model.evaluate, [TEXTS[0]], ["a"])
    dense = {name: model.parameters[name].copy() for name in ("dense.weight", "dense.bias")}
    dense["dense.bias"][:] = 3.4e38
    dense["dense.weight"][:] = 3.4e38 * np.array([[1], [-1], [1]])  # one of them adds to the bias
    model = without(model).with_lstm(parameters={**model.parameters, **dense})
    with pytest.raises(InputError, match="the model overflows"):
        replace(model, ensemble=replace(model.ensemble, weights=(1e300,))).explain(TEXTS[0])
