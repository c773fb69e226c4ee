"""The language model: a step of both directions against torch in float64, its perplexity, its sampler."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gatewise.kernels import get
from gatewise.network import language_model, sampled
from gatewise.network.architecture import language_model_shapes
from gatewise.network.language_model import DIRECTIONS, WINDOW, LanguageModel, Piece
from gatewise.network.sampled import Sampler
from gatewise.types import Array
from tests.network.oracle import dense, torch_lstm

ROWS, DIM, STREAMS, STEPS = 30, 8, 4, 9
CANDIDATES = np.array([0, 3, 4, 11, 29])
LOG_EXPECTED = np.random.default_rng(8).normal(-1, 0.5, ROWS).astype(np.float32)
DROPOUT = {"word": 0.2, "output": 0.4}


def parameters_of(units: int, dtype: str = "float64") -> dict[str, Array]:
    rng = np.random.default_rng(units)
    shapes = language_model_shapes(ROWS, DIM, units)
    return {name: rng.normal(0, 0.3, shape).astype(dtype) for name, shape in shapes.items()}


def pieces_of(units: int, dtype: str = "float64", masks: int = 5) -> dict[str, Piece]:
    """A piece of each direction, in the middle of its streams: the states are not zero."""
    rng, pieces = np.random.default_rng(3), {}
    for n, direction in enumerate(DIRECTIONS):
        words = rng.integers(0, ROWS, (STREAMS, STEPS + 1)).astype(np.int32)
        h, c = (rng.normal(0, 0.5, (STREAMS, units)).astype(dtype) for _ in range(2))
        tokens, targets = np.ascontiguousarray(words[:, :-1]), np.ascontiguousarray(words[:, 1:])
        pieces[direction] = Piece(tokens, targets, (h, c), np.random.default_rng([masks, n]))
    return pieces


def drawn_mask(rng: np.random.Generator, shape: tuple[int, ...], probability: float) -> Tensor:
    """The mask that `Dropout` draws from this generator, written once more: 16 bits for each number."""
    limit = round(probability * 65536)
    kept = rng.integers(0, 65536, shape, dtype=np.uint16) >= limit
    return torch.from_numpy(np.where(kept, 65536 / (65536 - limit), 0.0))


def torch_loss(
    v: dict[str, Tensor], direction: str, piece: Piece, dropped: dict[str, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of a piece and the states h, c after it, one stream after the other."""
    table, rng = v["embedding.weight"], piece.rng
    if dropped:
        distinct = np.unique(piece.tokens)
        scale = torch.ones(ROWS, 1).double()
        scale[distinct] = drawn_mask(rng, (len(distinct), 1), dropped["word"])
        table = table * scale
    units = piece.states[0].shape[1]
    outs, last = [], []
    for stream, words in enumerate(torch.from_numpy(piece.tokens).long()):
        x = table[words]  # (T, D)
        if units:
            names = [f"lstm.0.{direction}.{name}" for name in ("weight_ih", "weight_hh", "bias")]
            flat = [*(v[name] for name in names), torch.zeros(4 * units).double()]
            before = [torch.from_numpy(state[stream : stream + 1])[None] for state in piece.states]
            out, h_n, c_n = torch._VF.lstm(x[None], before, flat, True, 1, 0.0, True, False, True)
            outs.append(out[0])
            last.append((h_n[0, 0], c_n[0, 0]))
        else:
            outs.append(torch.stack([x[max(0, t - WINDOW + 1) : t + 1].mean(0) for t in range(STEPS)]))
    h = torch.stack(outs)  # (B, T, H)
    if dropped:
        h = h * drawn_mask(rng, (STREAMS, 1, h.shape[2]), dropped["output"])
    decoded = h.flatten(0, 1) @ v[f"decoder.{direction}.weight"].T
    logits = decoded @ v["embedding.weight"].T + v["decoder.bias"] - torch.from_numpy(LOG_EXPECTED).double()
    targets, candidates = torch.from_numpy(piece.targets).long().reshape(-1), torch.from_numpy(CANDIDATES)
    right = logits.gather(1, targets[:, None])
    others = logits[:, candidates].masked_fill(candidates == targets[:, None], -torch.inf)
    loss = (torch.cat([right, others], 1).logsumexp(1) - right[:, 0]).mean()
    h_T, c_T = (torch.stack(part) for part in zip(*last, strict=True)) if last else (torch.zeros(STREAMS, 0),) * 2
    return loss, h_T, c_T


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("dropped", [{}, DROPOUT], ids=["plain", "dropout"])
@pytest.mark.parametrize("units", [12, 0], ids=["lstm", "embeddings"])
def test_a_step_of_both_directions_equals_torch(
    units: int, dropped: dict[str, float], threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of both losses, the gradients of their sum, and the states after the piece; in blocks of 7 rows."""
    monkeypatch.setenv("GATEWISE_THREADS", threads)
    monkeypatch.setattr(sampled, "BLOCK", 7)
    parameters = parameters_of(units)
    network = LanguageModel(parameters, get("reference"), dropout=dropped)
    loss, gradients, states = network.forward_backward(pieces_of(units), CANDIDATES, LOG_EXPECTED)

    v = {name: torch.from_numpy(array).requires_grad_() for name, array in parameters.items()}
    wanted = {name: torch_loss(v, name, piece, dropped) for name, piece in pieces_of(units).items()}
    total = wanted["forward"][0] + wanted["backward"][0]
    total.backward()  # type: ignore[no-untyped-call]
    assert loss == pytest.approx(float(total.detach()) / 2, rel=1e-9)
    assert gradients.keys() == parameters.keys()
    found = dense(gradients, parameters)
    for name, tensor in v.items():
        scale = float(tensor.grad.abs().max())
        assert scale > 1e-4
        np.testing.assert_allclose(found[name], tensor.grad, rtol=0, atol=1e-9 * scale, err_msg=name)
    for name, (_, *after) in wanted.items():
        for state, right in zip(states[name], after, strict=True):
            np.testing.assert_allclose(state, right.detach(), rtol=0, atol=1e-12)


def test_equal_bits_at_the_same_time_and_close_to_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 by the native kernel. Other masks give other gradients."""
    found = []
    for threads, masks in (("2", 5), ("2", 5), ("1", 5), ("2", 6)):
        monkeypatch.setenv("GATEWISE_THREADS", threads)
        network = LanguageModel(parameters_of(40, "float32"), get(), dropout=DROPOUT)
        loss, gradients, states = network.forward_backward(pieces_of(40, "float32", masks), CANDIDATES, LOG_EXPECTED)
        arrays = dense(gradients, network.parameters)
        arrays |= {f"{name} {n}": state for name, pair in states.items() for n, state in enumerate(pair)}
        found.append((loss, arrays))
    assert found[0][0] == found[1][0] == pytest.approx(found[2][0], rel=1e-6)
    for name, array in found[0][1].items():
        assert array.tobytes() == found[1][1][name].tobytes(), name
        np.testing.assert_allclose(array, found[2][1][name], rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=name)
    assert found[0][0] != found[3][0]


@pytest.mark.parametrize("at_once", [3, 512])
def test_the_likelihood_of_a_text_is_that_of_the_full_softmax(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "MEASURED_AT_ONCE", at_once)
    network = LanguageModel(parameters_of(12), get("reference"), dropout=DROPOUT)
    text = np.random.default_rng(4).integers(1, ROWS, 7).astype(np.int32)
    tokens = np.concatenate([[0], text])
    v = {name: torch.from_numpy(array) for name, array in network.parameters.items()}
    for direction in DIRECTIONS:
        flat = [v[f"lstm.0.{direction}.{name}"] for name in ("weight_ih", "weight_hh", "bias")]
        h = torch_lstm(v["embedding.weight"][torch.from_numpy(tokens[:-1]).long()], *flat)
        logits = h @ v[f"decoder.{direction}.weight"].T @ v["embedding.weight"].T + v["decoder.bias"]
        right = torch.nn.functional.cross_entropy(logits, torch.from_numpy(tokens[1:]).long(), reduction="sum")
        assert network.negative_log_likelihood(direction, text) == pytest.approx(float(right), rel=1e-9)


def test_the_sampler_follows_its_distribution() -> None:
    counts = np.array([1000, 10, 0, 200])
    sampler = Sampler(counts, 3)
    drawn = [sampler.sample(np.random.default_rng(k)) for k in range(4000)]
    assert all((np.diff(one) > 0).all() for one in drawn)
    share = np.array([np.mean([word in one for one in drawn]) for word in range(4)])
    np.testing.assert_allclose(share, np.exp(sampler.log_expected), atol=0.03)
