"""Deletion scores: equal to editing one text at a time; the choice of the default method; the sample."""

from collections.abc import Sequence

import numpy as np
import pytest

from gatewise.explain import METHODS, method_named
from gatewise.explain.attribution.faithfulness import SHARES, DeletionScores, choose, measure, sample
from gatewise.explain.attribution.method import Attribution, Method, attribute
from gatewise.explain.example import Example, predict_examples
from gatewise.members.ensemble import Ensemble
from gatewise.target import log_probabilities
from tests.explain.attribution import test_ngrams
from tests.explain.random_net import ARCHITECTURES, ensemble_of, sequence_of

LENGTHS = [14, 1, 27, 9]


def net_of(name: str) -> Ensemble:
    if name == "n-grams":
        return test_ngrams.net_of(ARCHITECTURES["mean and max"], 10)[0]
    return ensemble_of(name, unknown=2 if ARCHITECTURES[name].inputs == "tokens" else None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["pads", "four classes, bidirectional", "truncated middle", "series", "n-grams"])
def test_scores_equal_deleting_and_keeping_one_text_at_a_time(name: str, method: str) -> None:
    net = net_of(name)
    sequences = [sequence_of(net.lstm.arch, length, 7) for length in LENGTHS]
    found = measure(net, sequences, method_named(method))
    assert found.comprehensiveness.shape == found.sufficiency.shape == (len(LENGTHS), len(SHARES))
    for n, sequence in enumerate(sequences):
        [whole] = predict_examples(net, [sequence])
        read = whole.read
        [example] = predict_examples(net, [read])
        [attribution] = attribute(method_named(method), [example])
        p = np.exp(log_probabilities(example.logits[None]))[0]
        predicted = int(p.argmax())
        favours = attribution.scores if net.lstm.arch.outputs > 1 or predicted == 1 else -attribution.scores
        for k, share in enumerate(SHARES):
            first = sorted(range(len(read)), key=lambda t: -favours[t])[: max(1, round(share * len(read)))]
            rest = [t for t in range(len(read)) if t not in first]
            for keep, got in ((rest, found.comprehensiveness), (sorted(first), found.sufficiency)):
                after = np.exp(log_probabilities(net.logits([read[keep]])))[0][predicted]
                assert got[n, k] == pytest.approx(p[predicted] - after, abs=1e-5)
    assert found.faithfulness.comprehensiveness == pytest.approx(found.comprehensiveness.mean())
    assert found.faithfulness.n == len(LENGTHS)


class RandomScores(Method):
    """An attribution method that draws each score from a standard normal distribution."""

    name = "random"

    def note(self, ensemble: Ensemble) -> str:
        return "at random"

    base_value_note = note

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        rng = np.random.default_rng(0)
        return [Attribution(rng.standard_normal(len(example.rows)), 0.0) for example in examples]


def test_random_scores_are_worse_than_leave_one_out() -> None:
    net = net_of("plain")
    sequences = [sequence_of(net.lstm.arch, 20, seed) for seed in range(30)]
    found = [measure(net, sequences, method).faithfulness for method in (RandomScores(), method_named("leave-one-out"))]
    random, left_out = (one.comprehensiveness - one.sufficiency for one in found)
    assert left_out > random + 0.02


def results(**each: list[float]) -> dict[str, DeletionScores]:
    return {
        name.replace("_", "-"): DeletionScores(np.array(values)[:, None], np.zeros((len(values), 1)))
        for name, values in each.items()
    }


def test_the_first_method_as_good_as_the_best_is_chosen() -> None:
    wide = [0.1, 0.9, 0.3, 0.7]
    assert (
        choose(results(prefix_difference=[0.2] * 4, cell_decomposition=wide, leave_one_out=[0.2, 0.8, 0.5, 0.6]))
        == "cell-decomposition"
    )
    # As spread, but behind by the same amount everywhere: that is a difference.
    assert choose(results(cell_decomposition=wide, leave_one_out=[x + 0.05 for x in wide])) == "leave-one-out"
    assert choose(results(cell_decomposition=wide, leave_one_out=[x - 0.05 for x in wide])) == "cell-decomposition"


def test_the_sample_is_small_and_the_same_each_time() -> None:
    lengths = [300, 0, 20, 40, 900] * 50
    rows = sample(lengths)
    assert rows == sample(lengths)
    assert len(set(rows)) == len(rows) <= 60
    assert all(lengths[row] for row in rows)
    assert sum(lengths[row] ** 2 for row in rows) <= 2_000_000
    assert sample([5000]) == [0]
    assert sample([0]) == []
