"""The attribution of one step's label: every method, unit contributions, the page's answers, the server."""

from dataclasses import replace

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.explain import Clamp
from gatewise.explain.attribution import METHODS, method_named
from gatewise.explain.attribution.faithfulness import measure
from gatewise.explain.attribution.integrated_gradients import IntegratedGradients
from gatewise.explain.attribution.method import attribute
from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.network.architecture import Architecture
from gatewise.serve.schemas import RequestError
from gatewise.serve.view.view import View
from gatewise.target import Target
from tests.explain.random_net import parameters_of

TEXT = "saw the cat x1 saw the Dog"


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("inputs", ["tokens", "channels"])
def test_scores_add_up_to_the_logit_of_the_step(inputs: str, bidirectional: bool, layers: int) -> None:
    rng = np.random.default_rng(layers)
    size, depth = (23, 5) if inputs == "tokens" else (2, 0)
    arch = Architecture.stacked(inputs, size, depth, 6, layers, bidirectional, pooling="none", outputs=3)  # type: ignore[arg-type]
    lstm = LSTM(arch, parameters_of(arch, 5), unknown=1)
    sequence = rng.integers(2, 23, 9) if inputs == "tokens" else rng.normal(size=(9, 2))
    example = Example(Ensemble.of(lstm, Target(("a", "b", "c"), "tagging")), sequence).at_step(3)
    whole = lstm.logits([sequence])
    assert example.step_logits == pytest.approx(whole, abs=1e-6)
    assert example.logits == pytest.approx(whole[3], abs=1e-6)
    for name in ("prefix-difference", "cell-decomposition"):
        [found] = method_named(name).attribute([example])
        assert found.base_value + found.scores.sum() == pytest.approx(example.target_score, abs=1e-5)
        if not bidirectional:
            assert not found.scores[4:].any(), "later steps are not read"
    [found] = IntegratedGradients(points=64).attribute([example])
    assert found.base_value + found.scores.sum() == pytest.approx(example.target_score, abs=1e-3)
    [found] = method_named("leave-one-out").attribute([example])
    changed = np.array(sequence)
    changed[5] = 1 if inputs == "tokens" else 0
    fall = example.score(whole[3]) - example.score(lstm.logits([changed])[3])
    assert found.scores[5] == pytest.approx(fall, abs=1e-5)
    assert example.contributions.sum() == pytest.approx(
        example.target_score - float(example.score(example.prefix_logits[0])), abs=1e-5
    )


def test_the_faithfulness_of_the_methods_is_measured(model: gw.Model) -> None:
    """By replacing the steps of which the label of one step depends most, or all others."""
    assert set(model.metadata.faithfulness) == set(METHODS)
    assert "that the method ranks highest are replaced" in model.card()
    example, method = model.trace(TEXT), method_named("leave-one-out")
    assert example.step == 2
    first = attribute(method, [example])[0].scores.argmax()
    lstm, p = model.explained.lstm, example.probabilities.max()
    found = measure(model.explained, [example.sequence], method)
    for which, scores in ((first, found.comprehensiveness), (np.arange(7) != first, found.sufficiency)):
        edited = np.array(example.sequence)
        edited[which] = lstm.unknown
        after = model.ensemble.target.probabilities(model.explained.logits([edited])[0][2:3])
        assert scores[0, 0] == pytest.approx(p - after[0, model.classes.index("B-X")], abs=1e-6)
    assert found.comprehensiveness.mean() > 0.3


def test_a_model_explains_the_label_of_a_word(model: gw.Model) -> None:
    labels = model.predict([TEXT])[0]
    example = model.trace(TEXT)
    assert (example.step, example.labels) == (labels.index("B-X"), labels)
    found = model.explain(TEXT.split(), step=3)
    assert (found.step, found.prediction, found.target) == (3, "I-X", "I-X")
    assert found.scores[[1, 2, 3]].sum() > np.abs(np.delete(found.scores, [1, 2, 3])).sum(), "the words that decide it"
    assert found.as_dict()["labels"] == labels
    assert model.explain(example.at_step(0)).prediction == "O"
    clamped = model.intervene(example.at_step(3), [Clamp("f", 0.0)])
    assert clamped.after.step == 3
    for step in (-1, 7):
        with pytest.raises(InputError, match=f"step must be from 0 to 6, not {step}"):
            model.explain(TEXT, step=step)
    with pytest.raises(InputError, match="step is for a tagger"):
        gw.load().explain("A film.", step=0)
    alone = replace(model.explained.lstm, unknown=None)
    other = Example(Ensemble.of(alone, model.target), example.sequence)
    assert "replaced by a pad" in method_named("leave-one-out").note(other.ensemble)
    assert len(method_named("leave-one-out").attribute([other])[0].scores) == 7


def test_the_page_shows_the_label_of_each_word(model: gw.Model) -> None:
    parts = ["prediction", "prefix", "attribution", "units", "unit:top", "heatmap:c"]
    found = View(model).explain({"text": TEXT, "include": parts})
    labels = model.predict([TEXT])[0]
    assert found["model"]["per_step"]
    assert (found["prediction"]["step"], found["prediction"]["steps"]) == (2, labels)
    p = model.predict_proba([TEXT])[0][:, model.classes.index("B-X")]
    assert found["prefix"]["probability"][1:] == pytest.approx(p.tolist(), abs=1e-5)
    other = View(model).explain({"text": TEXT, "include": ["prediction"], "step": 3})
    assert (other["prediction"]["label"], other["prediction"]["step"]) == ("I-X", 3)
    with pytest.raises(RequestError, match="step must be from 0 to 6"):
        View(model).explain({"text": TEXT, "step": 9})
