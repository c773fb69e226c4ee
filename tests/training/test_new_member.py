"""A new kind of member is one class for prediction and one function for its fit, and no other file changes."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import ModelFileError
from gatewise.explain import METHODS
from gatewise.members.member import KINDS, Inputs, Member, PaddedSequences
from gatewise.model.compress import compress
from gatewise.serve.lstm_file import lstm_file
from gatewise.storage.tensors import tensors_from_bytes
from gatewise.training import members
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.members import Run
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array
from tests.refusals import assert_refused


@dataclass(frozen=True, eq=False)
class Length(Member):
    """Logits in proportion to the number of steps."""

    weight: Array
    kind: ClassVar[str] = "length"
    noun: ClassVar[str] = "length"

    @property
    def outputs(self) -> int:
        return len(self.weight)

    def check(self, inputs: Inputs) -> None:
        pass

    def logits(self, sequences: Iterable[Array]) -> Array:
        return np.array([[len(one)] for one in sequences]).reshape(-1, 1) * self.weight

    def summary(self) -> list[tuple[str, str, int]]:
        return [("Length", f"({self.outputs},)", self.outputs)]

    def entry(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, Array]:
        return {"weight": self.weight}

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        return cls(tensors_from_bytes(raw, {"weight": ((outputs,), "float32")}, file)["weight"])

    def to_onnx(self, graph: Any, padded: PaddedSequences) -> str:
        lengths = graph.cast(graph.column(padded.lengths), np.float64)
        return str(graph.add("Mul", lengths, self.weight.astype(np.float64)))


@dataclass(frozen=True, eq=False)
class TokenWeights(Length):
    """The sum of the weights (V, outputs) of the tokens."""

    kind: ClassVar[str] = "token-weights"
    noun: ClassVar[str] = "token weights"

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[1])

    def check(self, inputs: Inputs) -> None:
        assert len(self.weight) == inputs.size

    def logits(self, sequences: Iterable[Array]) -> Array:
        return np.array([self.weight[tokens].sum(axis=0) for tokens in sequences], dtype=np.float64)

    def truncate_vocab(self, vocab_size: int) -> Member:
        return replace(self, weight=self.weight[:vocab_size])


def fit_length(data: TrainingData, run: Run) -> FittedMember:
    rows, counts = data.train, np.array([[len(one)] for one in data.full_sequences])
    weight, bias = fit_standardised_glm(counts[rows], data.targets(rows), 1.0)
    member = Length(weight[:, 0])
    return FittedMember(member, bias, member.logits(data.full_steps(data.validation)) + bias)


@pytest.fixture
def _length(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The two files: the kind is registered, and a module with its fit stands in `training.members`."""
    (tmp_path / "fits").mkdir()
    (tmp_path / "fits" / "length.py").write_text(f"from {__name__} import fit_length as fit", encoding="utf-8")
    monkeypatch.setitem(KINDS, "length", Length)
    monkeypatch.setattr(members, "__path__", [*members.__path__, str(tmp_path / "fits")])
    yield
    sys.modules.pop("gatewise.training.members.length", None)


def made(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts whose length is their class, as their words are not."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 30, n)
    texts = [" ".join(rng.choice(["aa", "bb", "cc", "dd"], count)) for count in counts]
    return texts, np.where(counts > 15, "long", "short").tolist()


@pytest.mark.usefixtures("_length")
def test_a_new_member_is_trained_explained_saved_exported_and_shown(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    texts, labels = made(240, 1)
    options: dict[str, Any] = {"units": 4, "embedding_dim": 4, "epochs": 1, "ngrams__order": 1, "seed": 1}
    model = gw.train(texts, labels, **options)
    assert list(model.weights) == ["LSTM", "length", "n-grams"]
    assert model.weights["length"] > 0.1
    assert model.score(*made(200, 2)) > 0.9
    length = model.ensemble.get("length")

    for method in METHODS:
        found = model.explain("aa bb cc", method)
        assert [part.name for part in found.parts] == ["LSTM", "length", "n-grams"]
        expected = model.weights["length"] * abs(length.weight[0])
        np.testing.assert_allclose(np.abs(found.parts[1].scores), expected, rtol=1e-6)
        assert abs(found.residual) < 1e-3 or not found.adds_up

    model.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    assert again.logits(texts).tobytes() == model.logits(texts).tobytes()
    assert again.ensemble.get("length").weight.tobytes() == length.weight.tobytes()
    card = again.card()
    assert "| Length | (1,) | 1 |" in card
    assert f"| length | {model.weights['length']:.2f} |" in card

    assert_refused("cannot compute this model: it has the member 'length'", lstm_file, model)
    model.export(tmp_path / "m.onnx")  # compares 1,000 predictions with ONNX Runtime's
    assert runtime.InferenceSession(tmp_path / "m.onnx").get_outputs()


@pytest.mark.usefixtures("_length")
def test_a_member_of_tokens_is_compressed_with_the_vocabulary() -> None:
    texts, labels = made(60, 3)
    model = gw.train(texts, labels, units=4, embedding_dim=4, epochs=1, recipe="lstm")
    rng = np.random.default_rng(4)
    member = TokenWeights(rng.standard_normal((model.architecture.vocab_size, 1)).astype(np.float32))
    members = (*model.ensemble.members, member)
    ensemble = replace(model.ensemble, members=members, weights=(*model.ensemble.weights, 0.75))
    model = replace(model, ensemble=ensemble)
    size = model.architecture.vocab_size - 1
    small = compress(model, "float32", size)
    assert small.ensemble.get("token-weights").weight.tobytes() == member.weight[:size].tobytes()
    kept = [word for word in ("aa", "bb", "cc", "dd") if word in small.preprocessor.encoding.ids]  # type: ignore[attr-defined]
    assert len(kept) == 3
    text = " ".join(kept)
    np.testing.assert_allclose(small.logits([text]), model.logits([text]), rtol=1e-6)


@pytest.mark.usefixtures("_length")
def test_a_kind_that_is_not_registered_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = made(60, 1)
    gw.train(texts, labels, units=4, embedding_dim=4, epochs=1, out=tmp_path / "m")
    monkeypatch.delitem(KINDS, "length")
    assert_refused("no kind of member is called 'length'", gw.load, tmp_path / "m", error=ModelFileError)
