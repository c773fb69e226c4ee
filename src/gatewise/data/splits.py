"""`Splits`: training data and test data that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatewise.data.files import read_folder
from gatewise.data.labelled import Labelled
from gatewise.errors import DataError, quote


@dataclass(frozen=True, eq=False)
class Splits:
    """Training data and test data. note: one line about the kind of test data."""

    train: Labelled
    test: Labelled | None
    note: str


def is_split_folder(path: str | Path) -> bool:
    """Whether it is a folder with train/ and test/, each with folders of its own."""
    return all(
        (part := Path(path).expanduser() / name).is_dir() and any(entry.is_dir() for entry in part.iterdir())
        for name in ("train", "test")
    )


def read_folders(path: str | Path) -> Splits:
    """The texts ROOT/train/class/*.txt and ROOT/test/class/*.txt.

    Errors as `read_folder`; DataError for a class that is in test/ alone, and if one of the two folders is missing.
    """
    root = Path(path).expanduser()
    train, test = read_folder(root / "train"), read_folder(root / "test", one_class=True)
    unknown = [name for name in test.classes if name not in train.classes]
    if unknown:
        raise DataError(f"{quote(root / 'test', 200)}: the class {quote(unknown[0])} is not in train/")
    return Splits(train, test, f"the folder test of {quote(root.name)}")
