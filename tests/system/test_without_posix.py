"""Files, folders and locks where fcntl and handles on folders do not exist, as on Windows.

The tests of `tests/storage` that need no POSIX run here again, and some of tables and runs.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from gatewise.cli.table_writer import write_table
from gatewise.errors import ModelFileError
from gatewise.storage.atomic import claimed
from gatewise.storage.folder import load_folder, save_folder
from gatewise.system.files import OpenFolder, open_file, renames_open_files, sync_folder
from tests.refusals import assert_refused
from tests.system import no_posix


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders behave as on Windows."""
    if os.name == "posix" and sys.platform != "linux":
        pytest.skip("/proc tells what is open")
    no_posix.install(monkeypatch.setattr)


pytestmark = pytest.mark.usefixtures("windows")
FILES = {"config.json": b"{}\n", "weights.bin": bytes(range(256)) * 40}


def test_nothing_of_posix_is_left(tmp_path: Path) -> None:
    with claimed(tmp_path / "out.csv"), claimed(tmp_path / "out.csv"):  # an output is not claimed
        pass
    assert list(tmp_path.iterdir()) == []
    assert not renames_open_files()
    sync_folder(tmp_path)
    with pytest.raises(PermissionError), open(tmp_path / "open", "wb"):
        os.replace(tmp_path / "open", tmp_path / "other")


def test_a_reader_never_takes_files_of_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is read by path. It is replaced after the manifest was read, and read again from the start."""
    save_folder(tmp_path / "model", FILES)
    new = {"config.json": b"[]\n", "weights.bin": b"new"}
    real, calls = OpenFolder.open, []

    def replaced(self: OpenFolder, name: str) -> int:
        calls.append(name)
        if len(calls) == 2:
            save_folder(tmp_path / "model", new)
        return real(self, name)

    monkeypatch.setattr(OpenFolder, "open", replaced)
    assert load_folder(tmp_path / "model").files == new
    assert calls


def test_links_and_other_paths_are_refused(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "model", FILES)
    (tmp_path / "weights").write_bytes(FILES["weights.bin"])
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to(tmp_path / "weights")
    assert_refused(r"weights\.bin is a symbolic link, not a regular file", load_folder, folder, error=ModelFileError)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_file(tmp_path / "link", os.O_WRONLY | os.O_CREAT)
    assert not (tmp_path / "nowhere").exists()
    assert_refused("is a file, not a model folder", load_folder, tmp_path / "weights", error=ModelFileError)
    assert_refused("cannot open the model folder", load_folder, "a\0b", error=ModelFileError)


@pytest.mark.skipif(os.name != "posix", reason="/proc tells what is open")
def test_a_link_that_appears_while_a_file_is_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, secret = tmp_path / "file", tmp_path / "secret"
    path.write_bytes(b"mine")
    secret.write_bytes(b"secret")
    fake = os.open

    def swapped(name: object, flags: int, mode: int = 0o777) -> int:
        path.unlink()
        path.symlink_to(secret)
        return fake(name, flags, mode)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swapped)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="symbolic links"):
        open_file(path, os.O_RDONLY)
    assert len(os.listdir("/proc/self/fd")) == before, "the handle is closed"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_replaced_by_a_complete_one(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    for n in (1, 2):
        with write_table(out, ["n"]) as writer:
            writer.write([{"n": n}])
    assert os.listdir(tmp_path) == [out.name]
    if suffix == ".csv":
        assert out.read_bytes() == b"n\n2\n"


def test_a_model_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    import gatewise as gw

    texts = [f"{'good' if n % 3 else 'bad'} film number {n}" for n in range(60)]
    labels = ["yes" if n % 3 else "no" for n in range(60)]
    model = gw.train(texts, labels, epochs=1, units=4, verbose=0, out=tmp_path / "model")
    again = gw.train(texts, labels, epochs=1, units=4, verbose=0, out=tmp_path / "model", overwrite=True)
    assert np.array_equal(gw.load(tmp_path / "model").predict_proba(texts), again.predict_proba(texts))
    assert np.array_equal(model.predict_proba(texts), again.predict_proba(texts))
    assert os.listdir(tmp_path) == ["model"]
