"""The attacks attack something: each finds a planted defect of what it is for."""

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.data import schema
from gatewise.model.model import Model
from gatewise.storage import folder as storage_folder
from gatewise.storage.atomic import write_atomic
from trust.attacks import commands, limits
from trust.registry import ATTACKS

pytestmark = pytest.mark.process


def failures(name: str, tries: int, folder: Path) -> str:
    """What the tries of an attack report, in this process."""
    found = []
    for number in range(tries):
        (folder / str(number)).mkdir()
        try:
            ATTACKS[name].attempt(np.random.default_rng([1, number]), folder / str(number))
        except Exception as error:
            found.append(str(error))
    return "\n".join(found)


def test_files_that_are_read_without_their_checksum_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unverified(folder: Any, where: str) -> storage_folder.Folder:
        manifest = storage_folder._read(folder, storage_folder.MANIFEST, None, where)
        names = storage_folder.parse_manifest(manifest, where)
        files = {name: storage_folder._read(folder, name, None, where) for name in names}
        return storage_folder.Folder(folder.path, files, hashlib.sha256(manifest).hexdigest())

    monkeypatch.setattr(storage_folder, "_load", unverified)
    assert "a damaged folder was loaded" in failures("model-folders", 60, tmp_path)


def test_a_save_that_does_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Model.save

    def save_once(model: Model, path: Any, **options: Any) -> Any:
        return path if os.path.exists(path) else save(model, path, **options)

    monkeypatch.setattr(Model, "save", save_once)
    assert "other files, after: 0" in failures("disk-full", 12, tmp_path)


def test_an_output_that_is_not_claimed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both commands look for the output before either writes it; both write it, and end with exit code 0."""
    explain = next(one for one in commands.GROUPS["two-tables"][2] if one.words.startswith("explain"))
    commands.undisturbed(explain)
    looked_for, exists = tmp_path / "looked for", os.path.lexists
    looked_for.mkdir()

    def exists_for_both(path: Any) -> bool:
        found = exists(path)
        if os.path.basename(path) == explain.out:
            (looked_for / str(os.getpid())).touch()
            end = time.monotonic() + 60
            while len(os.listdir(looked_for)) < 2 and time.monotonic() < end:
                time.sleep(0.01)
        return found

    monkeypatch.setattr("gatewise.storage.atomic.claimed", lambda *_: nullcontext())
    monkeypatch.setattr(os.path, "lexists", exists_for_both)
    monkeypatch.setattr(commands, "SIGNALS", [signal.SIGCONT])  # which changes nothing
    monkeypatch.setattr(commands.Child, "wait_for", lambda *_: None)
    with pytest.raises(AssertionError, match="replaced the other's without --overwrite"):
        commands._attempt([explain], np.random.default_rng([1, 0]), tmp_path)  # a try without an earlier output


@pytest.mark.slow
def test_modules_that_are_read_without_a_comparison_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewise.exchange.convert.prove", lambda *_: None)
    monkeypatch.setattr("gatewise.exchange.torch_guards._needed", lambda *_: [])
    assert "is off by" in failures("imports-torch", 28, tmp_path)


def test_a_limit_on_memory_that_does_not_hold_is_no_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.resource, "setrlimit", lambda *_: None)
    with pytest.raises(RuntimeError, match="RLIMIT_DATA does not limit the memory"):
        ATTACKS["little-memory"].prepare()


def test_a_save_that_is_not_atomic_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack fails where files are written one after the other into the folder itself."""

    def in_place(target: Path, files: Mapping[str, bytes]) -> None:
        target.mkdir(exist_ok=True)
        for path in target.iterdir():
            path.unlink()
        for name, data in files.items():
            write_atomic(target / name, data)

    monkeypatch.setattr("gatewise.storage.atomic.replace_folder", in_place)
    limits.saving_lines.cache_clear()
    try:
        assert failures("kills-save", 20, tmp_path)
    finally:
        limits.saving_lines.cache_clear()


def test_an_entrance_that_reads_booleans_in_another_way_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    category_of = schema.category_of

    def as_python_writes_it(value: Any) -> Any:
        return str(value) if isinstance(value, bool) else category_of(value)

    monkeypatch.setattr(schema, "category_of", as_python_writes_it)
    assert "of 500 rows differ from the CSV file" in failures("entrances", 8, tmp_path)


def test_an_entrance_that_loses_zeros_in_silence_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema.CategoricalColumn, "_by_number", {})
    assert "pandas: " in failures("entrances", 12, tmp_path)
