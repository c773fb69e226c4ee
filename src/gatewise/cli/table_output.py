"""`TableOutput`: what `gatewise predict -o` writes, by its options."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.bulk import BulkPrediction
from gatewise.cli.bulk_folder import ROWS_PER_FILE, FolderPrediction, Share
from gatewise.errors import DataWarning, InputError, counted, quote

if TYPE_CHECKING:
    from gatewise.data.columns import RowReader
    from gatewise.model.model import Model


@dataclass
class FolderOptions:
    """The options of an output folder; None: the default."""

    part: str | None
    rows_per_file: int | None
    format: str | None
    ray: str | None = None
    workers: int | None = None


@dataclass
class TableOutput:
    """The options of an output. folder: None for a single table."""

    out: str
    every: bool
    keep: list[str] | None
    overwrite: bool
    resume: bool
    folder: FolderOptions | None = None

    def write(self, model: Model, reader: RowReader, identity: dict[str, Any]) -> int:
        """Write the predictions of all rows, and report it on stderr: the number of rows."""
        if self.folder is not None:
            return self._write_folder(self.folder, model, reader, identity)
        n = BulkPrediction(
            model, reader, Path(self.out), self.every, self.overwrite, self.resume, identity, self.keep
        ).run()
        print(f"gatewise: wrote {quote(self.out, 200)}: {counted(n, 'row')}", file=sys.stderr)
        return n

    def _write_folder(self, folder: FolderOptions, model: Model, reader: RowReader, identity: dict[str, Any]) -> int:
        done = FolderPrediction(
            model,
            reader,
            Path(self.out),
            every=self.every,
            keep=self.keep,
            suffix=f".{folder.format}" if folder.format else "",
            rows_per_file=folder.rows_per_file or ROWS_PER_FILE,
            share=Share.parse(folder.part or "1/1"),
            overwrite=self.overwrite,
            resume=self.resume,
            identity=identity,
        ).run()
        before = f"; {counted(done.before, 'file was', 'files were')} there" if done.before else ""
        files = f"{counted(done.rows, 'row')} in {counted(done.files, 'file')}{before}"
        print(f"gatewise: wrote {quote(self.out, 200)}: {files}", file=sys.stderr)
        return done.rows

    def write_with_ray(
        self, model: Model, path: Path, inputs: list[str], text: list[str], delimiter: str | None
    ) -> int:
        """The same on a Ray cluster; path: of the model, which the workers open."""
        from gatewise.cli.bulk_ray import RayPrediction
        from gatewise.data.columns import table_paths

        folder = self.folder
        assert folder is not None
        assert folder.ray is not None
        if self.resume or folder.part or folder.rows_per_file or folder.format not in (None, "parquet"):
            given = {"--resume": self.resume, "--part": folder.part, "--rows-per-file": folder.rows_per_file}
            name = next((name for name, value in given.items() if value), f"--format {folder.format}")
            raise InputError(f"{name} is not for --ray, which writes the whole as Parquet")
        done = RayPrediction(
            model,
            path,
            table_paths(inputs),
            text,
            Path(self.out),
            folder.ray,
            workers=folder.workers,
            every=self.every,
            keep=self.keep,
            delimiter=delimiter,
            overwrite=self.overwrite,
        ).run()
        files = f"{counted(done.rows, 'row')} in {counted(done.files, 'file')}"
        print(f"gatewise: wrote {quote(self.out, 200)}: {files}", file=sys.stderr)
        if done.missing:
            which = f"{counted(done.missing, 'row has', 'rows have')} no text: the predictions are null"
            warnings.warn(which, DataWarning, stacklevel=2)
        return done.rows
