"""Keras's LSTM to LSTM and back, against Keras itself; and `.keras` files, whole, damaged and hostile."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.errors import InputError, ModelFileError
from gatewise.nn import LSTM, from_keras, keras_file, to_keras
from gatewise.nn.keras_file import CONFIG, WEIGHTS, lstm_layers
from gatewise.types import Array

h5py = pytest.importorskip("h5py")
# Keras's own variables, on the torch backend, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def layers(keras: ModuleType) -> Any:
    keras.utils.set_random_seed(3)
    return keras.layers


def scrambled(layer: Any, seed: int = 0) -> Any:
    """The layer with random weights, biases too, no two of them alike."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=array.shape) / 2 for array in layer.get_weights()])
    return layer


def built(layer: Any, inputs: int = 3) -> Any:
    layer.build((None, None, inputs))
    return scrambled(layer)


def keras_output(layer: Any, x: Array) -> Array:
    with torch.no_grad():
        output: Array = layer(torch.from_numpy(x)).cpu().numpy()
    return output


def our_output(lstm: LSTM, x: Array) -> Array:
    with torch.no_grad():
        output: Array = lstm(torch.from_numpy(x))[0].numpy()
    return output


X = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_a_layer_there_and_back(layers: Any, both: bool, bias: bool) -> None:
    def make() -> Any:
        one = layers.LSTM(5, use_bias=bias, return_sequences=True)
        return built(layers.Bidirectional(one) if both else one)

    source = make()
    wanted = keras_output(source, X)
    ours = from_keras(source)
    assert ours.bidirectional == both
    np.testing.assert_allclose(our_output(ours, X), wanted, rtol=0, atol=1e-6)
    target = scrambled(make(), seed=9)
    assert np.abs(keras_output(target, X) - wanted).max() > 1e-2
    to_keras(ours, target)
    np.testing.assert_allclose(keras_output(target, X), wanted, rtol=0, atol=1e-6)


def test_the_last_state_is_h_n(layers: Any) -> None:
    source = built(layers.Bidirectional(layers.LSTM(5)))
    _, (h_n, _) = from_keras(source)(torch.from_numpy(X))
    got = torch.cat([h_n[0], h_n[1]], dim=1).detach().numpy()
    np.testing.assert_allclose(got, keras_output(source, X), rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def saved(keras: ModuleType, layers: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model with three LSTM layers, one of them in a model of its own, and its file."""
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(20, 3, name="words")(tokens)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both")(x)
    x = layers.LSTM(4, return_sequences=True, name="first")(x)
    inner = keras.Sequential([layers.LSTM(2, use_bias=False, name="inner")], name="block")
    model = keras.Model(tokens, layers.Dense(1)(inner(layers.LSTM(3, return_sequences=True, name="second")(x))))
    scrambled(model)
    path = tmp_path_factory.mktemp("keras-file") / "model.keras"
    model.save(path)
    return model, path


def test_a_file(saved: tuple[Any, Path]) -> None:
    model, path = saved
    assert [one.name for one in lstm_layers(path)] == ["both", "first", "second", "inner"]
    inside = {layer.name: layer for layer in model.layers} | {"inner": model.get_layer("block").layers[0]}
    for name in ("both", "first", "second", "inner"):
        ours, theirs = from_keras(path, name), from_keras(inside[name])
        for key, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[key], value), f"{name} {key}"


@pytest.mark.parametrize("name", ["both", "second", "inner"])
def test_a_copy_of_a_file(keras: ModuleType, saved: tuple[Any, Path], tmp_path: Path, name: str) -> None:
    model, path = saved
    before, target = path.read_bytes(), tmp_path / "copy.keras"
    lstm = from_keras(path, name)
    for parameter in lstm.parameters():
        torch.nn.init.normal_(parameter)
    to_keras(lstm, path, name, copy_to=target)
    assert path.read_bytes() == before
    loaded = keras.saving.load_model(target)
    layer = loaded.get_layer("block").layers[0] if name == "inner" else loaded.get_layer(name)
    for key, value in from_keras(layer).state_dict().items():
        assert torch.equal(value, lstm.state_dict()[key])
    changed = sum(not np.array_equal(a, b) for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True))
    assert changed == len(lstm.state_dict())


def test_refused(layers: Any, saved: tuple[Any, Path], tmp_path: Path) -> None:
    _, path = saved
    ours = LSTM(3, 5)
    wrong: list[tuple[str, Callable[[], Any]]] = [
        ("activation='tanh', the layer has 'relu'", lambda: from_keras(built(layers.LSTM(5, activation="relu")))),
        ("recurrent_activation", lambda: from_keras(built(layers.LSTM(5, recurrent_activation="hard_sigmoid")))),
        ("go_backwards", lambda: from_keras(built(layers.LSTM(5, go_backwards=True)))),
        ("merge_mode", lambda: from_keras(built(layers.Bidirectional(layers.LSTM(5), merge_mode="sum")))),
        ("not made of LSTM", lambda: from_keras(built(layers.Bidirectional(layers.GRU(5))))),
        ("'GRU' is not a Keras LSTM", lambda: from_keras(built(layers.GRU(5)))),
        ("not built", lambda: from_keras(layers.LSTM(5))),
        ("'both', 'first', 'second', 'inner'", lambda: from_keras(path)),
        ("0 LSTM layers are called 'third'", lambda: from_keras(path, "third")),
        ("units, bias and directions", lambda: to_keras(ours, built(layers.LSTM(4)))),
        ("units, bias and directions", lambda: to_keras(ours, built(layers.LSTM(5, use_bias=False)))),
        ("units, bias and directions", lambda: to_keras(ours, built(layers.Bidirectional(layers.LSTM(5))))),
        ("not built, or for other inputs", lambda: to_keras(ours, built(layers.LSTM(5), inputs=2))),
        ("one LSTM layer, this module has 2", lambda: to_keras(LSTM(3, 5, 2), built(layers.LSTM(5)))),
        ("no counterpart", lambda: to_keras(LSTM(3, 5, gate="binary"), built(layers.LSTM(5)))),
        ("copy_to", lambda: to_keras(LSTM(10, 4), path, "first")),
        ("layer 'first' holds", lambda: to_keras(LSTM(9, 4), path, "first", copy_to=tmp_path / "x.keras")),
    ]
    for message, call in wrong:
        with pytest.raises(InputError, match=message):
            call()
    assert not (tmp_path / "x.keras").exists()


FIRST = "layers/lstm/cell/vars"


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of the archive with changed members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    target = path.with_name("changed.keras")
    with zipfile.ZipFile(target, "w") as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return target


def with_arrays(change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    def changed(members: dict[str, bytes]) -> None:
        stream = io.BytesIO(members[WEIGHTS])
        with h5py.File(stream, "r+") as file:
            change(file)
        members[WEIGHTS] = stream.getvalue()

    return changed


def with_config(change: Callable[[list[Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def changed(members: dict[str, bytes]) -> None:
        config = json.loads(members[CONFIG])
        change(config["config"]["layers"])
        members[CONFIG] = json.dumps(config).encode()

    return changed


def replaced(file: Any, value: Any, **how: Any) -> None:
    del file[f"{FIRST}/0"]
    file[FIRST].create_dataset("0", data=value, **how)


def external_link(file: Any) -> None:
    del file[f"{FIRST}/0"]
    file[f"{FIRST}/0"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: Any) -> None:
    del file[f"{FIRST}/0"]
    file[f"{FIRST}/0"] = h5py.SoftLink("/layers/lstm_1/cell/vars/0")


def linked_group(file: Any) -> None:
    del file["layers/lstm/cell"]
    file["layers/lstm/cell"] = h5py.ExternalLink("other.h5", "/")


def linked_name(file: Any) -> None:
    del file["layers/lstm/vars"]
    file["layers/lstm/vars"] = h5py.ExternalLink("other.h5", "/")


def virtual(file: Any) -> None:
    del file[f"{FIRST}/0"]
    layout = h5py.VirtualLayout(shape=(10, 16), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(10, 16))
    file[FIRST].create_virtual_dataset("0", layout)


def external_storage(file: Any) -> None:
    del file[f"{FIRST}/0"]
    file[FIRST].create_dataset("0", (10, 16), "f4", external=[("/etc/passwd", 0, 640)])


def huge(file: Any) -> None:
    del file[f"{FIRST}/0"]
    file[FIRST].create_dataset("0", (1 << 40, 16), "f4")


DAMAGED: list[tuple[str, Callable[[dict[str, bytes]], None]]] = [
    ("is a link", with_arrays(external_link)),
    ("is a link", with_arrays(soft_link)),
    ("is a link", with_arrays(linked_group)),
    ("is a link", with_arrays(linked_name)),
    ("not kept as plain numbers", with_arrays(virtual)),
    ("not kept as plain numbers", with_arrays(external_storage)),
    ("not kept as plain numbers", with_arrays(lambda f: replaced(f, np.ones((10, 16), "f4"), compression="gzip"))),
    (r"says .* bytes and has 0", with_arrays(huge)),
    (r"expected \(10, 16\)", with_arrays(lambda f: replaced(f, np.ones((10, 12), "f4")))),
    ("no floating-point numbers", with_arrays(lambda f: replaced(f, np.ones((10, 16), "i4")))),
    ("not finite", with_arrays(lambda f: replaced(f, np.full((10, 16), np.nan, "f4")))),
    ("is missing", with_arrays(lambda f: f.pop(f"{FIRST}/2"))),
    ("is missing", with_arrays(lambda f: f.pop("layers"))),
    ("'other' in", with_arrays(lambda f: f["layers/lstm/vars"].attrs.__setitem__("name", "other"))),
    ("damaged", lambda members: members.__setitem__(WEIGHTS, members[WEIGHTS][:300])),
    ("damaged", lambda members: members.__setitem__(WEIGHTS, b"not HDF5")),
    (f"{WEIGHTS} is missing", lambda members: members.pop(WEIGHTS) and None),
    (f"{CONFIG} is missing", lambda members: members.pop(CONFIG) and None),
    ("not JSON", lambda members: members.__setitem__(CONFIG, b"{")),
    ("does not describe a model", lambda members: members.__setitem__(CONFIG, b"[]")),
    ("without a class", with_config(lambda layers: layers.append({"class_name": 3}))),
]


@pytest.mark.parametrize(("message", "change"), DAMAGED, ids=[f"{n}-{m}" for n, (m, _) in enumerate(DAMAGED)])
def test_damaged_and_hostile(saved: tuple[Any, Path], message: str, change: Callable[[dict[str, bytes]], None]) -> None:
    target = rewritten(saved[1], change)
    with pytest.raises(ModelFileError, match=message):
        from_keras(target, "first")


def test_too_large(saved: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_file, "MAX_BYTES", 20_000)
    with pytest.raises(ModelFileError, match=r"files have .* bytes unpacked, more than the 20,000 allowed"):
        from_keras(saved[1], "first")
    monkeypatch.undo()
    monkeypatch.setattr(keras_file, "MAX_CONFIG", 100)
    with pytest.raises(ModelFileError, match=f"{CONFIG} has .* more than the 100 allowed"):
        from_keras(saved[1], "first")


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "other.bin"])
def test_a_small_archive_with_much_in_it(saved: tuple[Any, Path], name: str) -> None:
    """It is refused before anything is unpacked: the process needs less memory than the file would take."""
    target = saved[1].with_name("bomb.keras")
    with zipfile.ZipFile(saved[1]) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in {*source.namelist(), name}:
            archive.writestr(member, bytes(30 << 20) if member == name else source.read(member))
    assert target.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="bytes unpacked"):
            from_keras(target, "first")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_directory_that_lies(saved: tuple[Any, Path]) -> None:
    """A size in the zip directory that is too small: not more than that is unpacked, and the checksum does not fit."""
    target = rewritten(saved[1], lambda members: None)
    with zipfile.ZipFile(target) as archive:
        size = archive.getinfo(WEIGHTS).file_size.to_bytes(4, "little")
    raw = bytearray(target.read_bytes())
    at = raw.rindex(WEIGHTS.encode()) - 22  # the unpacked size in the central directory
    assert raw[at : at + 4] == size
    raw[at : at + 4] = (1000).to_bytes(4, "little")
    target.write_bytes(raw)
    with pytest.raises(ModelFileError, match=f"{WEIGHTS} is damaged"):
        from_keras(target, "first")


def test_not_an_archive(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        from_keras(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(ModelFileError, match=r"not a \.keras file"):
        from_keras(tmp_path / "text.keras")
    with pytest.raises(ModelFileError, match=r"not a \.keras file"):
        from_keras(tmp_path)


def test_any_byte_flipped_is_refused_or_harmless(saved: tuple[Any, Path]) -> None:
    """The archive's checksums see to it: whatever byte of the config or the arrays changes, it is one clear error."""
    raw = bytearray(saved[1].read_bytes())
    wanted = from_keras(saved[1], "first").state_dict()
    rng = np.random.default_rng(5)
    refused = 0
    for at in rng.integers(0, len(raw), 150):
        changed = bytearray(raw)
        changed[at] ^= 0x41
        target = saved[1].with_name("flipped.keras")
        target.write_bytes(changed)
        try:
            got = from_keras(target, "first").state_dict()
        except (ModelFileError, InputError):
            refused += 1
            continue
        assert all(torch.equal(got[name], wanted[name]) for name in wanted), f"byte {at}: other weights, and no error"
    assert refused > 100


def test_somebody_elses_lstm_is_not_taken(saved: tuple[Any, Path]) -> None:
    def foreign(layers: list[Any]) -> None:
        [layer] = [one for one in layers if one["name"] == "first"]
        layer["registered_name"] = "Mine>LSTM"

    target = rewritten(saved[1], with_config(foreign))
    assert [one.name for one in lstm_layers(target)] == ["both", "second", "inner"]
    assert torch.equal(from_keras(target, "second").weight_ih_l0, from_keras(saved[1], "second").weight_ih_l0)
