"""The cache of pad states: used only if the parameters are read-only."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise import kernels
from gatewise.kernels import LSTMCall, native
from gatewise.model.model import Model, load
from gatewise.network.forward import PAD_CHUNK
from gatewise.text import KerasEncoding
from tests.kernels.batches import needs_native
from tests.kernels.cases import draw
from tests.small_models import small_model

LENGTH = 2 * PAD_CHUNK + 40
TEXTS = ["good film", "bad", "a good film and a bad one", "film"]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    encoding = KerasEncoding({w: n + 1 for n, w in enumerate(["good", "bad", "film", "a", "and", "one"])}, 10)
    made = small_model(encoding, ("bad", "good"), 4, embedding_dim=4, units=9, max_length=LENGTH, padding="pre")
    made.save(tmp_path / "m")
    return load(tmp_path / "m")


def _writable_copy(model: Model) -> Model:
    return model.with_lstm(parameters={name: array.copy() for name, array in model.parameters.items()})


def test_the_states_after_pads_are_kept_and_are_the_same(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _writable_copy(model)
    assert plain.ensemble.lstm.memo is None
    calls = _count_steps(monkeypatch)
    first = model.logits(TEXTS[:1])
    once = list(calls)
    assert max(once) == PAD_CHUNK, "the pads were run"
    calls.clear()
    again, company = model.logits(TEXTS[:1]), model.logits(TEXTS)
    assert max(calls) < 20, "the pads were run again"
    assert np.array_equal(first, again)
    assert np.allclose(company, plain.logits(TEXTS), rtol=0, atol=1e-6)


def test_changed_parameters_are_seen(model: Model) -> None:
    plain, before = _writable_copy(model), model.logits(TEXTS)
    assert np.allclose(before, plain.logits(TEXTS), rtol=0, atol=1e-6)
    plain.parameters["lstm.0.forward.weight_hh"][...] *= -1
    changed = plain.logits(TEXTS)
    assert np.abs(changed - before).max() > 1e-3
    other = model.with_lstm(parameters=plain.parameters)
    assert np.array_equal(other.logits(TEXTS), changed), "a replaced model must not use the other's memo"


@needs_native
def test_packed_weights_belong_to_readonly_arrays_alone() -> None:
    given = draw(2, 1, 20, False, "sigmoid", False).arrays("float32")
    weight = given.pop("weight_hh")
    kernel, before = native.Native(), len(native._packed_weights)
    free = kernel.forward(LSTMCall(weight_hh=weight, **given))
    view = weight[:]
    view.flags.writeable = False  # but what it is a view of can be written to
    assert np.array_equal(kernel.forward(LSTMCall(weight_hh=view, **given)).h, free.h)
    assert len(native._packed_weights) == before
    readonly = weight.copy()
    readonly.flags.writeable = False
    for isa in native.isas():
        for _ in range(2):
            run = native.Native(isa=isa).forward(LSTMCall(weight_hh=readonly, **given))
            assert np.array_equal(run.h, native.Native(isa=isa).forward(LSTMCall(weight_hh=weight, **given)).h)
    assert len(native._packed_weights) == before + len(native.isas())
    x, bias = given["h0"][:, : weight.shape[1]], np.zeros(len(weight), np.float32)
    wanted = kernel.project(x, weight, bias)
    assert np.array_equal(kernel.project(x, readonly, bias), wanted), "one array may be both kinds of weights"
    del readonly, run  # the saved activations of a run hold its weights
    assert len(native._packed_weights) == before, "packed weights outlive the array"


def _count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps of every forward from now on, by whichever kernel runs."""
    kind, calls = type(kernels.get()), []
    run = kind.forward

    def counted(self: Any, call: LSTMCall[Any], **how: Any) -> Any:
        calls.append(int(call.lengths.sum()))
        return run(self, call, **how)

    monkeypatch.setattr(kind, "forward", counted)
    return calls
