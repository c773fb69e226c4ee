"""Ids beyond the embeddings: the model refuses them where the PyTorch module raises, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError

torch: Any = pytest.importorskip("torch")


class Words(torch.nn.Module):
    """Two tables: 9 words, and 5 countries."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(9, 4)
        self.countries = torch.nn.Embedding(5, 3)
        self.lstm = torch.nn.LSTM(4, 5, batch_first=True)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, ids: Any, country: Any) -> Any:
        h, _ = self.lstm(self.words(ids))
        return self.head(torch.cat([h.mean(1) * h.amax(1), self.countries(country)], 1))


class Replaced(Words):
    def forward(self, ids: Any, country: Any) -> Any:
        return super().forward(torch.where(ids == -100, torch.zeros_like(ids), ids), country + 1)


class Clipped(Words):
    def forward(self, ids: Any, country: Any) -> Any:
        return super().forward(ids.clamp(0, 8), country.clamp(min=0))


class Remainder(Words):
    def forward(self, ids: Any, country: Any) -> Any:
        return super().forward(ids % 9, country)


class Decoder(torch.nn.Module):
    """The embedding is read in each step of a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(9, 4)
        self.cell = torch.nn.GRUCell(4, 5)
        self.norm = torch.nn.LayerNorm(5)
        self.head = torch.nn.Linear(5, 2)

    def forward(self, ids: Any, country: Any) -> Any:
        h = torch.nn.functional.one_hot(country, 5).float()
        for step in range(ids.shape[1]):
            h = self.norm(self.cell(self.words(ids[:, step]), h))
        return self.head(h)


@pytest.mark.parametrize("kind", [Words, Replaced, Clipped, Remainder, Decoder])
def test_the_model_refuses_the_ids_at_which_the_module_raises(kind: Any) -> None:
    torch.manual_seed(5)
    module = kind().eval()
    model = gw.from_torch(module, (torch.zeros(2, 7, dtype=torch.long), torch.zeros(2, dtype=torch.long)))
    rng = np.random.default_rng(6)
    raised = 0
    for draw in range(60):
        ids = rng.integers(0, 9, (3, 4))
        country = rng.integers(0, 4, 3)
        if draw % 2:
            ids[rng.integers(3), rng.integers(4)] = rng.choice([-1, -9, 9, -100, 15])
        if draw % 3 == 0:
            country[rng.integers(3)] = rng.choice([-1, -2, 4, 5, 7])
        inputs = {"ids": ids, "country": country}
        try:
            with torch.no_grad():
                expected = module(*map(torch.as_tensor, inputs.values())).numpy()
        except (IndexError, RuntimeError):
            raised += 1
            for call in (model.predict, model.predict_outputs, model.row_outputs):
                with pytest.raises(InputError, match=r"the input (ids|country) has the id .* and its ids are from"):
                    call(inputs)
            continue
        np.testing.assert_allclose(model.predict(inputs), expected, rtol=0, atol=1e-5)
    assert 0 < raised < 60
