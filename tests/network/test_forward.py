"""The network against a plainly padded torch run in float64: logits and every gradient to 1e-10, embeddings and
channels included, also with gates of 0 or 1; float32 in the native kernel against float64.
"""

import json
from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import pytest
import torch

from gatewise.errors import ModelFileError
from gatewise.kernels.reference import Reference
from gatewise.network.architecture import Architecture, Hidden, Layer, initial_parameters, parameter_shapes, summary
from gatewise.network.autograd import VALUES, gradients
from gatewise.network.batch import Batch, truncate
from gatewise.network.forward import features, forward, in_batches
from gatewise.network.ops import Ops
from gatewise.types import Activation, Array
from tests.explain.random_net import ALL, parameters_of, sequence_of
from tests.network.oracle import padded_logits
from tests.refusals import assert_refused

UNMASKED = Architecture.stacked("tokens", 30, 5, 7, max_length=40, padding="pre")
STEPS = Architecture("channels", 4, 0, (Layer(5), Layer(3)), "none", (Hidden(6, "relu"),), outputs=2, max_length=9)
MORE = {
    "pads, long": replace(UNMASKED, max_length=700),  # the state converges before the pads end
    "pads, two layers, long": replace(UNMASKED, layers=UNMASKED.layers * 2, max_length=300),
    "pads, binary": replace(UNMASKED, gate="binary"),
    "backward, step": Architecture("tokens", 30, 5, (Layer(7, "backward"),), "step"),
    "step": Architecture("channels", 4, 0, (Layer(5), Layer(3)), "step", outputs=2),
    "product of the directions, last": Architecture("tokens", 30, 5, (Layer(7, "both", "product"),)),
    **{
        f"hidden {name}": Architecture("channels", 4, 0, (Layer(5),), "mean", (Hidden(6, name, 0.3),))
        for name in get_args(Activation)
    },
    "each step": Architecture("tokens", 30, 5, (Layer(7, "both"),), "none", outputs=4),
    "each step, hidden": STEPS,
}
ARCHITECTURES = {**ALL, **MORE}


def given(arch: Architecture, *lengths: int) -> tuple[dict[str, Array], list[Array]]:
    """Parameters so small that no tanh is 1 in float32 where it is below 1 in float64, and sequences."""
    parameters = {name: array / 2 for name, array in parameters_of(arch, 11, "float64").items()}
    return parameters, [sequence_of(arch, length, 11) for length in lengths]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_and_gradients_equal_a_plainly_padded_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The native kernel runs both directions one after the other, and at the same time."""
    arch, rng = ARCHITECTURES[name], np.random.default_rng(11)
    parameters, sequences = given(arch, 3, 1, 17, 40, 8)
    weights = {k: torch.from_numpy(v).clone().requires_grad_() for k, v in parameters.items()}
    series = [torch.tensor(one).double().requires_grad_() for one in sequences] if arch.inputs == "channels" else []
    wanted = padded_logits(arch, weights, series or sequences)
    upstream = rng.standard_normal(wanted.shape)
    wanted.backward(torch.from_numpy(upstream))  # type: ignore[no-untyped-call]

    batch, names = Batch.of(sequences, arch), [*parameters, *[VALUES] * bool(series)]
    logits, found = gradients(parameters, arch, batch, lambda _: upstream, names, Reference())
    np.testing.assert_allclose(logits, wanted.detach(), rtol=0, atol=1e-10)
    right = {key: tensor.grad.numpy() for key, tensor in weights.items()}  # type: ignore[union-attr]
    if series:
        right[VALUES] = np.concatenate([truncate(one.grad.numpy(), arch) for one in series])  # type: ignore[union-attr]
    for key, gradient in right.items():
        unread = arch.pooling == "step" and key.endswith("backward.weight_hh")  # its first step alone is read
        assert unread or np.abs(gradient).max() > 1e-6, key
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=1e-10, err_msg=key)
    np.testing.assert_array_equal(forward(Ops(Reference()), parameters, arch, batch), logits)

    single = {key: array.astype(np.float32) for key, array in parameters.items()}
    for threads in ("1", "2"):
        monkeypatch.setenv("GATEWISE_THREADS", threads)
        logits, rounded = gradients(single, arch, batch, lambda _: upstream, names)
        np.testing.assert_allclose(logits, wanted.detach(), atol=3e-5)
        for key, gradient in right.items():
            assert rounded[key].dtype == np.float32
            limit = 3e-5 * max(float(np.abs(gradient).max()), 1)
            np.testing.assert_allclose(rounded[key], gradient, rtol=0, atol=limit, err_msg=key)
    _, table = gradients(single, arch, batch, lambda _: upstream, ["dense.weight"])
    assert list(table) == ["dense.weight"]
    np.testing.assert_array_equal(table["dense.weight"], rounded["dense.weight"])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batches_of_similar_lengths_keep_the_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pooling "none" the rows are the steps of the sequences; an empty sequence has none."""
    monkeypatch.setattr("gatewise.network.forward.STEPS_PER_BATCH", 20)
    arch = ARCHITECTURES[name]
    parameters, sequences = given(arch, 3, 0, 17, 30, 8)
    wanted = [forward(Ops(Reference()), parameters, arch, Batch.of([one], arch)) for one in sequences]
    for run, kept in ((forward, wanted), (features, None)):
        found = in_batches(run, parameters, arch, sequences, Ops(Reference()))
        alone = [in_batches(run, parameters, arch, [one], Ops(Reference())) for one in sequences]
        np.testing.assert_allclose(found, np.concatenate(kept or alone), rtol=0, atol=1e-12)
    assert len(found) == (5 if arch.pooling != "none" else 3 + 0 + 9 + 9 + 8 if arch.max_length == 9 else 58)


def test_an_empty_sequence_reads_as_no_evidence() -> None:
    arch = ALL["four classes, bidirectional"]
    parameters = parameters_of(arch, 9, "float64")
    batch = Batch.of([np.zeros(0, dtype=np.int64), np.array([4, 5])], arch)
    logits = forward(Ops(Reference()), parameters, arch, batch)
    np.testing.assert_array_equal(logits[0], parameters["dense.bias"])
    _, found = gradients(parameters, arch, batch, np.ones_like, list(parameters), Reference())
    _, alone = gradients(
        parameters, arch, Batch.of([np.array([4, 5])], arch), np.ones_like, ["embedding.weight"], Reference()
    )
    np.testing.assert_allclose(found["embedding.weight"], alone["embedding.weight"], rtol=0, atol=1e-14)
    assert all(np.isfinite(gradient).all() for gradient in found.values())


def test_parameter_counts_of_the_tutorial() -> None:
    arch = Architecture.stacked("tokens", 88_588, 32, 100, max_length=1000, padding="pre")
    assert [count for _, _, count in summary(arch)] == [2_834_816, 53_200, 101]
    assert sum(count for _, _, count in summary(arch)) == 2_888_117
    assert sum(int(np.prod(s)) for s in parameter_shapes(arch).values()) == 2_888_117


def test_start_values_are_those_of_keras() -> None:
    arch = Architecture.stacked("tokens", 500, 32, 100, max_length=1000, padding="pre")
    start = initial_parameters(arch, np.random.default_rng(0))
    assert 0.045 < np.abs(start["embedding.weight"]).max() <= 0.05
    limit = np.sqrt(6 / 432)
    assert 0.95 * limit < np.abs(start["lstm.0.forward.weight_ih"]).max() <= limit
    w = start["lstm.0.forward.weight_hh"].astype(np.float64)
    np.testing.assert_allclose(w.T @ w, np.eye(100), atol=1e-6)
    np.testing.assert_array_equal(start["lstm.0.forward.bias"], np.repeat([0, 1, 0, 0], 100))


def test_an_architecture_that_means_nothing_is_refused() -> None:
    for change, message in (
        ({"layers": ()}, "layers must be at least 1"),
        ({"layers": (Layer(7),) * 33}, "at most 32 layers"),
        ({"hidden": (Hidden(7),) * 33}, "at most 32 layers"),
        ({"embedding_dim": 0}, "embedding_dim must be at least 1 for tokens"),
        ({"layers": (Layer(7, "both"),)}, "one direction"),
        ({"pooling": "mean"}, "pooling 'last'"),
        ({"max_length": 0}, "a max_length above 0"),
    ):
        assert_refused(message, replace, UNMASKED, **change)
    for make in (lambda: Layer(0), lambda: Hidden(0), lambda: Architecture.stacked("tokens", 30, 5, 0)):
        assert_refused("units must be at least 1, not 0", make)
    assert_refused("merge 'sum' needs two directions, not 'backward' alone", Layer, 3, "backward", "sum")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_configuration_in_json_is_read_back(name: str) -> None:
    entry = json.loads(json.dumps(asdict(ARCHITECTURES[name])))
    assert Architecture.from_config(entry, "config.json") == ARCHITECTURES[name]


def test_a_configuration_of_equal_layers_is_read_as_before() -> None:
    old = {"inputs": "channels", "vocab_size": 4, "embedding_dim": 0, "units": 6, "layers": 2, "bidirectional": True}
    assert Architecture.from_config(old, "config.json") == Architecture("channels", 4, 0, (Layer(6, "both"),) * 2)
    read, where = Architecture.from_config, "config.json: architecture"
    for change, message in (
        ({"units": 0}, r"config.json: architecture: layers\[0\]: units must be at least 1, not 0"),
        ({"layers": 10**6}, "config.json: architecture: at most 32 layers"),
        ({"bidirectional": 1}, "bidirectional must be true or false"),
        ({"layers": [{"units": 6}]}, "layers must be a whole number"),
    ):
        assert_refused(message, read, old | change, where, error=ModelFileError)


def test_ids_beyond_the_vocabulary_are_refused() -> None:
    assert_refused("from 0 to 29, found 3 to 30", Batch.of, [np.array([3, 30])], UNMASKED)
    other = [np.ones((2, 4)), np.ones((3, 2))]
    assert_refused(r"series 1: shape must be \(steps, 4\), not \(3, 2\)", Batch.of, other, MORE["step"])
