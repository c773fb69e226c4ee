"""A folder loads as it was saved, or is refused with one line that names the file."""

import hashlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_model import small_files

from gatewise.errors import ModelFileError
from gatewise.storage.folder import MANIFEST, load_folder, save_folder
from gatewise.system.files import OpenFolder
from tests.children import run_child
from tests.refusals import assert_refused


def refused(path: Path, *words: str) -> None:
    message = assert_refused(".", load_folder, path, error=ModelFileError)
    assert all(word in message for word in words), message


def rewrite(folder: Path, change: Callable[[Any], Any]) -> None:
    """Change the manifest as a program would, in the form that gatewise writes."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest = change(manifest) or manifest
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def relist(folder: Path, name: str, data: bytes) -> None:
    """Put `data` in the file and a manifest beside it that agrees: what a stranger would send."""
    (folder / name).write_bytes(data)

    def change(manifest: Any) -> None:
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest["files"] = dict(sorted(manifest["files"].items()))

    rewrite(folder, change)


def test_comes_back_as_saved(folder: Path, tmp_path: Path) -> None:
    loaded = load_folder(folder)
    assert loaded.files == small_files()
    assert loaded.read("README.md") == b"# A card\n"
    assert_refused(r"has no config\.yaml", loaded.read, "config.yaml", error=ModelFileError)
    (tmp_path / "latest").symlink_to(folder)  # the user's own choice
    assert load_folder(tmp_path / "latest").files == small_files()


def test_fingerprint_tells_models_apart(folder: Path, tmp_path: Path) -> None:
    again = save_folder(tmp_path / "again", dict(reversed(small_files().items())))
    other = save_folder(tmp_path / "other", {**small_files(), "README.md": b"# A cart\n"})
    assert load_folder(again).fingerprint == load_folder(folder).fingerprint != load_folder(other).fingerprint


@pytest.mark.parametrize("name", [*small_files(), MANIFEST])
def test_every_changed_byte_and_length_is_noticed_and_names_the_file(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for at in range(len(whole)):
        for bit in (0x01, 0x20, 0x80):  # 0x20 turns capitals into small letters, and a space into NUL
            (folder / name).write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            # A flip in the manifest may well make another file the one that does not agree.
            refused(folder, *[name] * (name != MANIFEST))
        (folder / name).write_bytes(whole[:at])
        refused(folder, name)
    (folder / name).write_bytes(whole + b" ")
    refused(folder, name)
    (folder / name).write_bytes(whole)
    load_folder(folder)


@pytest.mark.parametrize("name", [*small_files(), MANIFEST])
@pytest.mark.parametrize("kind", ["missing", "link", "dangling", "folder", "fifo", "socket"])
@pytest.mark.process  # a socket is no regular file
def test_only_regular_files(
    folder: Path, tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / name
    real = tmp_path / "elsewhere"
    path.rename(real)  # the very content, so that nothing but the kind is wrong
    if kind == "link":
        path.symlink_to(real)
    elif kind == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(folder)  # a socket's path is at most 108 bytes long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
    refused(folder, name, "missing" if kind == "missing" else "not a regular file")


@pytest.mark.parametrize("kind", ["link", "fifo", "other content"])
def test_a_file_that_changes_between_the_look_and_the_opening(
    folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(b"# A cord\n")
    path, real = folder / "README.md", OpenFolder.open

    def opened(self: OpenFolder, name: str) -> int:
        if name == "README.md":
            path.unlink()
            if kind == "link":
                path.symlink_to(tmp_path / "secret")
            elif kind == "fifo":
                os.mkfifo(path)
            else:
                path.write_bytes(b"# A cord\n")
        return real(self, name)

    def hangs(*_: object) -> None:
        pytest.fail("opening the FIFO waits for a writer")

    monkeypatch.setattr(OpenFolder, "open", opened)
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(5)
    try:
        refused(folder, "README.md")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device file")
def test_a_device_is_refused(folder: Path) -> None:
    (folder / "README.md").unlink()
    try:
        os.mknod(folder / "README.md", 0o600 | 0o020000, os.makedev(1, 5))  # as /dev/zero: endless
    except PermissionError:
        pytest.skip("device files cannot be made in this container")
    refused(folder, "README.md", "special file")


@pytest.mark.parametrize("extra", ["evil.py", ".hidden", "config.json~", "\udcff\udcfe", "n" * 255, "line\nbreak"])
def test_an_extra_file_is_refused(folder: Path, extra: str) -> None:
    try:
        (folder / extra).write_bytes(b"")
    except OSError:
        pytest.skip("this file system has no such names")
    refused(folder, "is not listed")


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/passwd", "sub/file", ".hidden", "..", "", "a\0b", "a" * 101, "MANIFEST.json", "a b", "é"],
)
def test_names_with_a_path_are_refused(folder: Path, name: str) -> None:
    entry = {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}

    def change(manifest: Any) -> None:
        manifest["files"] = dict(sorted({**manifest["files"], name: entry}.items()))

    rewrite(folder, change)
    refused(folder, MANIFEST, "is not a valid file name")


def test_names_that_are_one_file_on_a_mac_and_caps(folder: Path, tmp_path: Path) -> None:
    relist(folder, "readme.md", b"other")
    refused(folder, "upper and lower case")
    for i in range(60):
        relist(folder, f"f{i}", b"x")
    refused(folder, "65 files")
    many = tmp_path / "many"
    many.mkdir()
    (many / MANIFEST).write_bytes(b" " * 64_001)
    refused(many, MANIFEST, "64,001 bytes")


@pytest.mark.parametrize(
    ("names", "size", "message"),
    [
        (["a.safetensors", "b.safetensors"], 1_000_000_001, "the files have 2,000,000,002 bytes"),
        (["README.md", "tokenizer.json"], 32_000_001, "the files without tensors have 64,000,002 bytes"),
        (["config.json"], 1_000_001, "config.json has 1,000,001 bytes"),
    ],
)
def test_large_files_are_neither_read_nor_written(tmp_path: Path, names: list[str], size: int, message: str) -> None:
    sparse = save_folder(tmp_path / "sparse", dict.fromkeys(names, b"1"))
    for name in names:
        os.truncate(sparse / name, size)  # costs no disk

    def claim(manifest: Any) -> None:
        for name in names:
            manifest["files"][name]["bytes"] = size

    rewrite(sparse, claim)
    refused(sparse, MANIFEST, message)
    with pytest.raises(ModelFileError, match=re.escape(message)):
        save_folder(tmp_path / "new", dict.fromkeys(names, bytes(size)))


def test_all_sizes_are_compared_before_anything_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(folder / "model.safetensors", 10**12)
    opened, real = [], os.open

    def watched(path: Any, *args: Any, **options: Any) -> int:
        opened.append(path)
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", watched)
    refused(folder, "model.safetensors", "1,000,000,000,000 bytes")
    assert opened == [folder, MANIFEST]


@pytest.mark.parametrize(("version", "age"), [(1, "an older"), (2, "an older"), (4, "a newer")])
def test_another_format_is_named_whatever_its_form(folder: Path, version: int, age: str) -> None:
    rewrite(folder, lambda manifest: {"format": "gatewise model", "format_version": version, "files": ["other"]})
    refused(folder, MANIFEST, f"needs {age} gatewise (format {version}; this version reads format 3)")


INVALID = [b"", b"{}", b"[]", b"null", b"\xff\xfe{}", b"\x80\x04\x95", b"[" * 60_000]


def test_an_invalid_manifest_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for version in (0, -1, "1", 1.0, True, None, [1]):
        rewrite(folder, lambda _, version=version: manifest | {"format_version": version})
        refused(folder, MANIFEST)
    for raw in (*INVALID, b'{"format": "other", "files": {}}'):
        (folder / MANIFEST).write_bytes(raw)
        refused(folder, MANIFEST)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))  # the same in other words
    refused(folder, MANIFEST, "byte for byte")


def test_paths_that_are_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere", "no such file")
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "file", "is a file, not a model folder")
    refused(tmp_path, MANIFEST, "missing")
    for path in ("a\0b", "\ud800", "n" * 300):
        assert_refused("cannot open the model folder", load_folder, path, error=ModelFileError)


def test_a_folder_that_is_replaced_while_its_names_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = OpenFolder.entries, []

    def replaced(self: OpenFolder) -> Iterator[tuple[str, os.stat_result]]:
        calls.append(1)
        if len(calls) == 1:
            save_folder(folder, {"config.json": b"{}"})
            raise FileNotFoundError
        yield from real(self)

    monkeypatch.setattr(OpenFolder, "entries", replaced)
    assert load_folder(folder).files == {"config.json": b"{}"}


AUDIT = """
import sys
from gatewise.storage.folder import load_folder
seen = []
def hook(event, args):
    if event.split(".")[0] in ("socket", "subprocess", "pickle", "marshal", "exec", "compile", "ctypes", "import"):
        seen.append(event)
    elif event.startswith("os.") and event != "os.scandir":
        seen.append(event)
    elif event == "open":
        seen.append(f"open {args[0]!r}")
sys.addaudithook(hook)
load_folder(sys.argv[1])
print("\\n".join(seen))
"""


def test_loading_opens_the_folder_and_its_files_and_does_nothing_else(folder: Path) -> None:
    out = run_child([sys.executable, "-c", AUDIT, str(folder)], check=True).stdout
    opened = [line for line in out.splitlines() if not line.removeprefix("open ").isdigit()]  # the handles, as files
    assert sorted(opened) == sorted(f"open {name!r}" for name in [str(folder), MANIFEST, *small_files()])
