"""The step and the unit that the page opens with."""

import numpy as np
import pytest

from gatewise.explain.example import Example
from gatewise.explain.opening import opening_of
from tests.explain.random_net import ALL, example_of


@pytest.mark.parametrize("name", ALL)
def test_the_opening_is_at_the_largest_change_of_the_line(name: str) -> None:
    example = example_of(ALL[name])
    top, found = len(ALL[name].layers) - 1, opening_of(example)
    changes = np.concatenate([gates.memory_changes() for gates in example.layer(top)], axis=1)
    assert found.memory_change == changes[found.step, found.unit]
    if example.contributions is None:
        assert np.abs(changes).max() == abs(found.memory_change)
        return
    assert found.contribution == example.contributions[found.step, found.unit]
    line = np.abs(np.diff(example.lstm_prefix_logits @ example.lstm_score.weights))
    assert line[found.step] == line.max()
    sizes = np.abs(example.contributions[found.step])
    large = sizes * (np.abs(changes[found.step]) >= 0.3)
    assert abs(found.contribution) == (large if large.any() else sizes).max()
    if top:
        below = opening_of(example, 0)
        assert below.contribution is None
        jumps = example.jumps(0)[0]
        assert abs(below.memory_change) == jumps.max()


def test_marks_and_the_start_are_no_words() -> None:
    plain = example_of(ALL["plain"])
    step = opening_of(plain).step
    names = [f"w{n}" for n in range(len(plain))]
    spans = [(n, n + 1) for n in range(len(plain))]
    names[step] = "!"
    assert opening_of(Example(plain.ensemble, plain.sequence, names, spans)).step != step
    names[step], spans[step] = "<start>", (step, step)
    assert opening_of(Example(plain.ensemble, plain.sequence, names, spans)).step != step
    assert opening_of(Example(plain.ensemble, plain.sequence, ["."] * len(plain), spans)).step == step
