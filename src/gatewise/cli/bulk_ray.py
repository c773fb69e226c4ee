"""Predictions with Ray Data: the Scorer runs on a pool of actors, on this machine or on a cluster.

Ray reads the input, Parquet or CSV, and writes Parquet. It restarts a worker that dies and repeats its tasks. The
output is written under another name and gets its own when it is complete. Workers of other machines need gatewise, and
the same paths.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.bulk import ROWS_PER_FILE, STATE, added_names, check_folder
from gatewise.cli.inputs import TableOptions
from gatewise.cli.options import model_folder
from gatewise.cli.ray_session import import_ray, ray_session
from gatewise.data.columns import table_paths
from gatewise.data.tables import DELIMITERS, Table, open_table, table_suffix
from gatewise.errors import DataError, DataWarning, InputError, counted, quote
from gatewise.scorer import Scorer
from gatewise.storage.atomic import reason, scratch, swap_in
from gatewise.system.files import sync_folder
from gatewise.target import column_names

if TYPE_CHECKING:
    from gatewise.model.model import Model

_BLOCK_ROWS = 4096  # of a task of an actor


def predict_with_ray(model: Model, given: Any, table_options: TableOptions) -> tuple[int, str]:
    """Predict the rows of Parquet or CSV files into Parquet files in the folder `out`: the number of rows, and what was
    written, in words.

    given: the options of `gatewise predict`; ray: the address of the cluster, as `ray.init` takes it, "local" starts
    Ray here; workers: actors with one CPU each, None for all CPUs but one, which reads and writes. Raises InputError,
    DataError for inputs, outputs and addresses that do not fit, MissingExtra without Ray.
    """
    out, workers, every = Path(given.out), given.workers, given.probabilities == "all"
    if model.architecture.inputs == "channels":
        raise InputError("--ray is for texts, and the model reads series")
    if table_options.skip_bad_rows is not None:
        raise InputError("--skip-bad-rows is not for --ray: rows without a text get null predictions")
    if check_folder(out) and not given.overwrite:
        raise InputError(f"{quote(out, 200)}: contains predictions; --overwrite replaces them")
    paths = table_paths(given.files)
    with closing(_first_table(paths, table_options)) as table:
        columns = [table.column(name, "--keep") for name in given.keep or table.columns]
        text = [table.column(name, "--text") for name in table_options.texts]
        delimiter = table.delimiter
    import_ray("pyarrow", "ray.data")
    import ray.data

    names, new = column_names(model.target, every), added_names(model, every, columns)
    scorer = {
        "model": str(model_folder(given.model)),
        "text": text,
        "probabilities": "all" if every else "top",
        "columns": dict(zip(names, new, strict=True)),
        "missing": "null",
        "precision": model.ensemble.lstm.precision,
        "fingerprint": model.manifest_sha256,
    }
    read = list(dict.fromkeys([*columns, *text]))
    wanted = None if workers is None else workers + 1
    with scratch(out.resolve().parent, folder=True) as unfinished:
        with ray_session(given.ray, wanted, {"GATEWISE_THREADS": "1"}) as cpus:
            context = ray.data.DataContext.get_current()
            context.execution_options.preserve_order = True
            context.enable_progress_bars = False
            data = _read(ray, paths, read, delimiter).repartition(target_num_rows_per_block=_BLOCK_ROWS)
            data = data.map_batches(
                Scorer,
                fn_constructor_kwargs=scorer,
                batch_format="pyarrow",
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=workers or max(1, cpus - 1)),
                num_cpus=1,
            )
            data.select_columns([*columns, *new]).write_parquet(str(unfinished), min_rows_per_file=ROWS_PER_FILE)
        return _publish(unfinished, out, paths, new[0])


def _first_table(paths: list[str], table_options: TableOptions) -> Table:
    """The first file, opened for its columns. Raises InputError for files of other formats."""
    formats = {"parquet" if table_suffix(path) == ".parquet" else "csv" for path in paths}
    other = [path for path in paths if table_suffix(path) not in (".parquet", *DELIMITERS)]
    if other or len(formats) > 1:
        name = quote(other[0] if other else paths[-1], 200)
        raise InputError(f"{name}: with --ray, all inputs are .parquet, or all are {' '.join(DELIMITERS)}")
    for path in paths:
        if not os.path.isfile(path):
            raise DataError(f"{quote(path, 200)}: not found")
    return open_table(paths[0], table_options.delimiter)


def _read(ray: Any, paths: list[str], columns: list[str], delimiter: str) -> Any:
    """The rows as a Ray dataset; the values of a CSV file are texts, as they are without Ray."""
    paths = [str(Path(path).resolve()) for path in paths]
    if table_suffix(paths[0]) == ".parquet":
        return ray.data.read_parquet(paths, columns=columns, partitioning=None)
    import pyarrow
    from pyarrow import csv

    return ray.data.read_csv(
        paths,
        partitioning=None,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={name: pyarrow.string() for name in columns}, include_columns=columns
        ),
    )


def _publish(unfinished: Path, out: Path, paths: list[str], label: str) -> tuple[int, str]:
    """Give the files plain names, in the order of the rows, and the folder its own."""
    from pyarrow import parquet

    rows = missing = 0
    files = sorted(unfinished.glob("*.parquet"), key=lambda path: re.findall(r"\d+", path.stem)[-2:])
    try:
        for number, path in enumerate(files):
            labels = parquet.read_table(path, columns=[label])[0]
            rows, missing = rows + len(labels), missing + labels.null_count
            path.rename(unfinished / f"part-{number:05d}.parquet")
        if not rows:
            raise DataError(f"{', '.join(paths[:3])}: there is no row to predict")
        (unfinished / STATE).write_text(json.dumps({"ray": True}), encoding="utf-8")
        old = swap_in(unfinished, out)
        sync_folder(out.resolve().parent)
    except OSError as error:
        raise DataError(f"{quote(out, 200)}: cannot be written: {reason(error)}") from None
    if old is not None:
        shutil.rmtree(old)
    if missing:
        which = f"{counted(missing, 'row has', 'rows have')} no text: the predictions are null"
        warnings.warn(which, DataWarning, stacklevel=2)
    return rows, f"{counted(rows, 'row')} in {counted(len(files), 'file')}"
