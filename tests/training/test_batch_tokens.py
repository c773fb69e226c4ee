"""Short texts get larger batches, unless a batch size is asked for."""

from __future__ import annotations

import pytest

from gatewise.training import recipe
from gatewise.training.training_data import prepare
from tests.training.texts import made_reviews


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"min_batch_tokens": 0}, 4),
        ({"min_batch_tokens": 400}, 6),  # as many as leave 30 steps
        ({"min_batch_tokens": 0, "batch_size": 50}, 50),
    ],
)
def test_batch_size(changes: dict[str, int], expected: int) -> None:
    start = recipe("fast", vocab_size=90, units=4, embedding_dim=4, batch_size=4)
    assert start.optimisation.min_batch_tokens == 0
    prepared = prepare(made_reviews(200, 3), recipe("fast", **{"batch_size": 4, **changes}), 1)
    assert prepared.recipe.optimisation.batch_size == expected
