"""Saving is atomic: after any failure the old model loads and no temporary file is left."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_model import small_files

import gatewise.storage.atomic as atomic
from gatewise.errors import ModelFileError
from gatewise.storage.folder import MANIFEST, check_target, load_folder, save_folder
from tests.children import running
from tests.refusals import assert_refused

NEW = {"config.json": b"{}\n", "weights.bin": bytes(range(256)) * 40}


def untouched(folder: Path) -> None:
    """The old model is there, whole, alone."""
    assert load_folder(folder).files == small_files()
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.usefixtures("system")
def test_makes_the_folders_above_and_leaves_nothing_beside(tmp_path: Path) -> None:
    saved = save_folder(tmp_path / "a" / "b" / "model", NEW)
    assert load_folder(saved).files == NEW
    assert sorted(path.name for path in saved.iterdir()) == sorted([*NEW, MANIFEST])
    assert os.listdir(tmp_path / "a" / "b") == ["model"]
    mask = os.umask(0o022)
    os.umask(mask)
    assert saved.stat().st_mode & 0o777 == 0o777 & ~mask, "others may read it as the umask says"


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("way", ["exchange", "two renames"])
def test_replaces_a_model_whole(folder: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "two renames":
        monkeypatch.setattr(atomic, "exchange", lambda a, b: False)
    for files in (NEW, small_files()):
        save_folder(folder, files)
        assert load_folder(folder).files == files
        assert os.listdir(folder.parent) == ["model"]
    (folder / "README.md").write_bytes(b"other")  # a damaged model may be replaced
    (folder / "empty.txt").unlink()
    save_folder(folder, NEW)
    assert load_folder(folder).files == NEW


@pytest.mark.usefixtures("system")
def test_into_an_empty_folder_and_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "latest").symlink_to("model")
    assert save_folder(tmp_path / "latest", NEW) == (tmp_path / "model").resolve()
    assert (tmp_path / "latest").is_symlink()
    assert load_folder(tmp_path / "model").files == NEW


def home_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_bytes(b"years of work")


def false_model(path: Path) -> None:
    home_folder(path)
    (path / MANIFEST).write_bytes(b'{"name": "a web app", "icons": []}')


def model_with_notes(path: Path) -> None:
    save_folder(path, NEW)
    (path / "notes.txt").write_bytes(b"mine")


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"data"), home_folder, false_model, model_with_notes])
def test_what_is_not_ours_is_left_as_it_is(tmp_path: Path, make: Callable[[Path], object]) -> None:
    target = tmp_path / "target"
    make(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for attempt in (check_target, lambda path: save_folder(path, NEW)):
        assert_refused("target", attempt, target, error=ModelFileError)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "model", "a\0b", "\ud800", tmp_path / ("n" * 300)):
        assert_refused("cannot save to", save_folder, path, NEW, error=ModelFileError)
    for files, message in (({}, "0 files"), ({"../x": b""}, "is not a valid file name")):
        assert_refused(message, save_folder, tmp_path / "model", files, error=ModelFileError)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_failure_after_the_swap_is_a_warning_and_the_new_model_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(atomic.shutil, "rmtree", failing)
    with pytest.warns(RuntimeWarning, match=r"saved, but.*input/output error.*may be left as"):
        save_folder(folder, NEW)
    assert load_folder(folder).files == NEW


def test_the_second_rename_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "exchange", lambda a, b: False)
    real, calls = os.rename, iter(range(10))

    def failing(a: object, b: object) -> None:
        if next(calls) == 1:
            raise OSError(5, "Input/output error")
        real(a, b)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", failing)
    assert_refused("input/output error", save_folder, folder, NEW, error=ModelFileError)
    monkeypatch.undo()
    untouched(folder)


STOPS_INSIDE_A_SAVE = """
import os, sys, time
from gatewise.storage.atomic import write_atomic
from gatewise.storage.folder import save_folder

def fsync(handle):
    print("inside", flush=True)
    time.sleep(120)

os.fsync = fsync
if sys.argv[1] == "save_folder":
    save_folder(sys.argv[2], {"a": b"1"})
else:
    write_atomic(sys.argv[2], b"1")
"""


@pytest.mark.parametrize("function", ["save_folder", "write_atomic"])
def test_what_a_killed_save_left_is_removed_by_the_next_one(tmp_path: Path, function: str) -> None:
    (tmp_path / ".gatewise-notes.tmp").write_text("a file of somebody else")
    command = [sys.executable, "-c", STOPS_INSIDE_A_SAVE, function, str(tmp_path / "killed")]
    with running(command, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"inside\n"
        save_folder(tmp_path / "model", {"a": b"1"})
        assert len(os.listdir(tmp_path)) == 3, "the other process is alive, so what it writes stays"
        child.kill()
    save_folder(tmp_path / "model", {"a": b"2"})
    assert sorted(os.listdir(tmp_path)) == [".gatewise-notes.tmp", "model"]


def test_a_link_under_a_scratch_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("kept")
    (tmp_path / ".gatewise-0123456789abcdef.tmp").symlink_to(tmp_path / "mine")
    save_folder(tmp_path / "model", {"a": b"1"})
    assert (tmp_path / "mine" / "file").read_text() == "kept"
