"""Unlabelled texts for pretraining: from folders, tables, text files and the IMDB archive."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.data.archive import unlabelled_files
from gatewise.data.download import cache_folder
from gatewise.data.files import decode, read_column, read_text
from gatewise.data.imdb import EMBEDDED, OFFICIAL, imdb
from gatewise.data.inputs import convert_inputs
from gatewise.data.labelled import Labelled, content_key
from gatewise.data.splits import Splits
from gatewise.data.streams import split_lines
from gatewise.data.tables import TABLES, is_table
from gatewise.errors import DataError, InputError, counted, quote


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """n texts. source: where they come from, one line."""

    texts: list[str]
    source: str

    def __len__(self) -> int:
        return len(self.texts)

    def fingerprint(self) -> str:
        """SHA-256 of the texts, each preceded by its length."""
        digest = hashlib.sha256()
        for text in self.texts:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little") + raw)
        return digest.hexdigest()

    def without(self, data: Labelled) -> Unlabelled:
        """The texts that are not among the rows of `data`. Raises InputError if none is left."""
        labelled = set(data.keys.tolist())
        kept = [text for text in self.texts if content_key(text) not in labelled]
        if not kept:
            raise InputError("every unlabelled text is also in the labelled data: there is nothing more to learn from")
        if len(kept) == len(self.texts):
            return self
        return Unlabelled(kept, f"{self.source}; {len(kept):,} of them not among the labelled texts")

    @classmethod
    def of(cls, texts: Any, source: str = "the texts given") -> Unlabelled:
        """From texts in any container (`convert_inputs`). Raises InputError as this function, and for an empty text."""
        rows = convert_inputs(texts, "text", name="texts")
        for number, text in enumerate(rows):
            if not text.strip():
                raise InputError(f"texts: row {number} is empty")
        return cls(rows, source)


def imdb_texts(
    path: str | Path | None = None, *, known: Splits | None = None, progress: bool = True, download: bool = True
) -> Unlabelled:
    """The reviews that are not test data: the train half and the 50,000 unlabelled ones, from where `imdb` finds them.

    Reviews that are also in the test half are removed; `source` says how many. Of the embedded half, only its training
    part is used. known: the result of `imdb` for the same path, to avoid reading it twice. Errors as `imdb`.
    """
    splits = known or imdb(path, progress=progress, download=download)
    texts = [text for text in splits.train.inputs if isinstance(text, str)]
    archive = _archive(path)
    unlabelled = [decode(raw, name) for name, raw in unlabelled_files(archive)] if archive else []
    test = set() if splits.test is None else set(splits.test.keys.tolist())
    kept = [text for text in (*texts, *unlabelled) if text.strip() and content_key(text) not in test]
    left_out = len(texts) + len(unlabelled) - len(kept)
    source = f"{len(kept):,} IMDB reviews ({len(texts):,} of the train half, {len(unlabelled):,} unlabelled"
    source += f"; {left_out:,} duplicates of test reviews removed)" if left_out else ")"
    return Unlabelled(kept, source)


def read_texts(
    sources: Sequence[str], *, data: str | None = None, text: str | Sequence[str] = "text", known: Splits | None = None
) -> Unlabelled:
    """The texts of all `sources`, in order.

    A source is `imdb` (data: its archive, folder or "embedded"; known: as in `imdb_texts`), a folder (every .txt file
    in it and its subfolders is one text), a table (.csv .tsv .jsonl; the column `text`), or a .txt file (one text per
    line). Raises DataError with the file name for a source that cannot be read or has no text.
    """
    if not sources:
        raise InputError("name at least one source of texts: imdb, a folder, a table or a .txt file")
    if data is not None and "imdb" not in sources:
        raise InputError("--data is for the source imdb; give files as sources")
    parts = [_read(source, data, text, known) for source in sources]
    return Unlabelled([one for part in parts for one in part.texts], "; ".join(part.source for part in parts))


def _read(source: str, data: str | None, text: str | Sequence[str], known: Splits | None) -> Unlabelled:
    if source == "imdb":
        return imdb_texts(data, known=known)
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.txt") if not file.name.startswith("."))
        if not files:
            raise DataError(f"{quote(path, 200)}: the folder has no .txt file")
        return Unlabelled(
            [read_text(file) for file in files], f"{counted(len(files), 'file')} of the folder {quote(path.name)}"
        )
    if not path.exists() and not glob.has_magic(source):
        raise DataError(f"{quote(path, 200)}: not found")
    if is_table(path):
        rows = read_column(path, text=text)
        if not rows:
            raise DataError(f"{quote(path, 200)}: has no row")
        return Unlabelled(rows, f"{counted(len(rows), 'row')} of {quote(path.name)}")
    if path.suffix.lower() == ".txt":
        lines = [line for line in split_lines(read_text(path, max_bytes=1 << 30)) if line.strip()]
        return Unlabelled(lines, f"{counted(len(lines), 'line')} of {quote(path.name)}")
    raise DataError(f"{quote(path, 200)}: the name must end in one of {' '.join((*TABLES, '.txt'))}")


def _archive(path: str | Path | None) -> Path | None:
    """The path from which `imdb(path)` reads the official files; None for the embedded half."""
    if path == EMBEDDED:
        return None
    archive = cache_folder() / OFFICIAL.name if path is None else Path(path).expanduser()
    return archive if archive.exists() else None
