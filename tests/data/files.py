"""Files that the tests write."""

from collections.abc import Mapping
from pathlib import Path

from gatewise.data import Labelled, read_table


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def write_folder(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        write(root, name, content)
    return root


def read(folder: Path, content: str | bytes, name: str = "reviews.csv") -> Labelled:
    """A table with this content."""
    return read_table(write(folder, name, content))
