"""Labelled texts out of a folder with a folder for each class."""

from __future__ import annotations

from pathlib import Path

from gatewise.data.labelled import Labelled, class_order, label_rows
from gatewise.errors import DataError, quote

__all__ = ["read_folder", "read_text"]

_FILE = 10 << 20  # bytes


def read_folder(path: str | Path) -> Labelled:
    """ROOT/class/*.txt in UTF-8, in the order of their names; hidden files and folders are passed over.

    DataError, with the file's name, for fewer than two classes, a class or text that is empty, a link, bytes that are
    not UTF-8, and more than 10 MB.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{quote(root, 200)}: {'not a folder' if root.exists() else 'not found'}")
    try:
        folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if len(folders) < 2:
            raise DataError(f"{quote(root, 200)}: has {len(folders)} folders; a classifier needs two classes or more")
        texts: list[str] = []
        names: list[str] = []
        for folder in folders:
            files = sorted(file for file in folder.glob("*.txt") if not file.name.startswith("."))
            if not files:
                raise DataError(f"{quote(folder, 200)}: has no .txt file")
            texts += [read_text(file) for file in files]
            names += [folder.name] * len(files)
    except OSError as error:
        raise DataError(f"{quote(error.filename or root, 200)}: cannot be read: {error.strerror}") from None
    classes = class_order(names)
    source = f"{len(texts):,} files of the folder {quote(root.name)}, {len(classes)} classes"
    return Labelled(texts, label_rows(names, classes), classes, source=source)


def read_text(file: Path, most: int = _FILE) -> str:
    """The text of a file in UTF-8, at most `most` bytes. DataError with its name for anything else, and where it is
    empty.
    """
    if file.is_symlink() or not file.is_file():
        raise DataError(f"{quote(file, 200)}: not a plain file")
    with open(file, "rb") as opened:
        raw = opened.read(most + 1)
    if len(raw) > most:
        raise DataError(f"{quote(file, 200)}: more than {most:,} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{quote(file, 200)}: not valid UTF-8 at byte {error.start}") from None
    if not text.strip():
        raise DataError(f"{quote(file, 200)}: the text is empty")
    return text
