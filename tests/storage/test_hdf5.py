"""Arrays of an HDF5 file, found in a process with limits: those that h5py reads, and one line if the process fails."""

from __future__ import annotations

import io
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import MissingExtra, ModelFileError
from gatewise.storage import hdf5
from gatewise.storage.hdf5 import read_index
from gatewise.types import Array

h5py = pytest.importorskip("h5py")
DTYPES = ("<f2", "<f4", "<f8", ">f4", ">f8")


def arrays_of(seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {f"layers/lstm_{n}/vars/0": rng.normal(size=(3, 4 + n)).astype(dtype) for n, dtype in enumerate(DTYPES)}


def file_with(arrays: dict[str, Any], **how: Any) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **how)
        file["layers"].attrs["name"] = "Schichten λ"
    return stream.getvalue()


ARRAYS = arrays_of(0)
FILE = file_with(ARRAYS)


def test_arrays_of_every_dtype_and_texts() -> None:
    found, texts = read_index(FILE, "x", list(ARRAYS), ["layers/name", "layers/other", "none/name"])
    assert texts == ["Schichten λ", None, None]
    for one, (name, array) in zip(found, ARRAYS.items(), strict=True):
        got = one.read(FILE)
        assert got.dtype.isnative
        assert got.dtype.itemsize == array.dtype.itemsize
        np.testing.assert_array_equal(got, array, err_msg=name)


def test_written_arrays_are_what_h5py_reads() -> None:
    changed, others = bytearray(FILE), arrays_of(1)
    for one, array in zip(read_index(FILE, "x", list(ARRAYS))[0], others.values(), strict=True):
        one.write(changed, array)
    assert len(changed) == len(FILE)
    with h5py.File(io.BytesIO(bytes(changed)), "r") as file:
        for name, array in others.items():
            np.testing.assert_array_equal(file[name][()], array)


def test_a_float_type_of_another_layout_is_refused() -> None:
    other = h5py.h5t.IEEE_F32LE.copy()
    other.set_ebias(100)
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        h5py.h5d.create(file.id, b"x", other, h5py.h5s.create_simple((3,)))
        file["x"][...] = 1.5
    with pytest.raises(ModelFileError, match="x is not kept as plain numbers"):
        read_index(stream.getvalue(), "x", ["x"])


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), None])
def test_an_array_without_elements_is_refused(shape: tuple[int, ...] | None) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        if shape is None:
            file["x"] = h5py.Empty("f4")
        else:
            file.create_dataset("x", shape=shape, dtype="f4")
    with pytest.raises(ModelFileError, match=r"^a\.keras: x has no elements$"):
        read_index(stream.getvalue(), "a.keras", ["x"])


FAILURES = [
    ("os.abort()", r"libhdf5 crashed on it \(signal 6.*\)", {}),
    ("os.kill(os.getpid(), 11)", r"libhdf5 crashed on it \(signal 11\)", {}),
    ("os._exit(3)", r"libhdf5 crashed on it \(exit code 3\)", {}),
    ("time.sleep(1000)", "libhdf5 took more than 1 seconds to read it", {"WALL_SECONDS": 1}),
    ("spin()", "libhdf5 took more than 1 seconds of CPU time to read it", {"CPU_SECONDS": 1}),
    ("fill()", "it needs more than [0-9,]+ bytes of memory", {}),
    ("{}['a\x1b[31m']", "damaged: ", {}),
    ("{'arrays': [[[4, 4], '<f4', 10**6]], 'texts': []}", "a does not lie inside the file", {}),
    ("{'arrays': [[[-4, -4], '<f4', 0]], 'texts': []}", "a does not lie inside the file", {}),
    ("{'arrays': [[[4, 4], '<f4', -1]], 'texts': []}", "a does not lie inside the file", {}),
    ("{'arrays': [], 'texts': ['a' * 2_000_000]}", "bytes of JSON, more than the limit", {}),
]


@pytest.mark.parametrize(("does", "message", "limits"), FAILURES, ids=[one[0][:12] for one in FAILURES])
def test_a_process_that_fails_is_one_line(
    does: str, message: str, limits: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that crashes, hangs, fills the memory or answers nonsense, under the limits of the real one."""
    script = tmp_path / "reader.py"
    script.write_text(
        f"import os, sys, time\nsys.path.insert(0, {str(Path(hdf5.__file__).parent)!r})\nimport hdf5_process\n"
        "def spin():\n    while True:\n        pass\n"
        "def fill():\n    kept = []\n    while True:\n        kept.append(bytearray(64 << 20))\n"
        f"hdf5_process.read = lambda *_: {does}\nhdf5_process.main()\n"
    )
    monkeypatch.setattr(hdf5, "_SCRIPT", script)
    for name, value in limits.items():
        monkeypatch.setattr(hdf5, name, value)
    with pytest.raises(ModelFileError, match=message) as error:
        read_index(FILE, "a.keras", ["a"])
    assert str(error.value).startswith("a.keras: ")
    assert str(error.value).isprintable()


def test_the_process_imports_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as in `python -c` and in a notebook
    assert len(read_index(FILE, "x", list(ARRAYS))[0]) == len(ARRAYS)


def test_without_h5py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"gatewise\[keras\]"):
        read_index(FILE, "x", list(ARRAYS))


def test_mutated_files_give_equal_arrays_or_one_line() -> None:
    """One or two bytes of the metadata are changed. HDF5 has no checksum, so that another offset or shape may go
    unnoticed, but it lies inside the file."""
    places = read_index(FILE, "x", list(ARRAYS))[0]
    metadata = [at for at in range(len(FILE)) if FILE[at] and not any(one.offset <= at < one.end for one in places)]

    def outcome(seed: int) -> str:
        rng = np.random.default_rng(seed)
        raw = bytearray(FILE)
        for at in rng.choice(metadata, rng.integers(1, 3)):
            raw[at] = rng.integers(256)
        try:
            found = read_index(bytes(raw), "x", list(ARRAYS))[0]
        except ModelFileError as error:
            return "refused" if str(error).isprintable() else f"several lines: {error}"
        if found == places:
            return "equal"
        return "elsewhere" if all(one.read(bytes(raw)).shape == one.shape for one in found) else "other arrays"

    with ThreadPoolExecutor(2) as pool:
        counts = Counter(pool.map(outcome, range(60)))
    assert counts["refused"] + counts["equal"] + counts["elsewhere"] == 60, counts
    assert min(counts["refused"], counts["equal"]) > 10, counts
