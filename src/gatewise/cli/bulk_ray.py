"""Predictions with Ray Data: the Scorer runs on a pool of actors, on this machine or on a cluster.

Ray reads the input, Parquet or CSV, and writes Parquet. It restarts a worker that dies and repeats its tasks. The
output has a temporary name until it is complete. Workers on other machines need gatewise and the same paths.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.bulk import ROWS_PER_FILE, STATE, added_names, check_folder
from gatewise.cli.input_versions import InputVersions
from gatewise.cli.sources import TableOptions
from gatewise.data.row_reader import table_paths
from gatewise.data.tables import DELIMITERS, open_table, table_suffix
from gatewise.errors import DataError, GatewiseError, InputError, counted, quote, reason, required, warn
from gatewise.model import bundled
from gatewise.scorer import Scorer
from gatewise.storage.atomic import scratch, swap_in
from gatewise.system.files import sync_folder

if TYPE_CHECKING:
    from gatewise.model import Model

_BLOCK_ROWS = 4096  # rows that an actor predicts in one task
_CONNECT_TIMEOUT = 5.0  # seconds to connect to the address of a cluster
_MAX_DEPTH = 20  # errors that Ray nests around the error of a worker


def predict_with_ray(model: Model, args: Any, table_options: TableOptions) -> tuple[int, str]:
    """Predict the rows of Parquet or CSV files into Parquet files in a folder. Returns the number of rows, and what was
    written, in words.

    args: the options of `gatewise predict`. args.ray: the address of the cluster, as `ray.init` takes it; "local"
    starts Ray on this machine. args.workers: the number of actors, with one CPU each; None for all CPUs but one, which
    reads and writes. Raises InputError, DataError for inputs, outputs and addresses that do not fit, MissingExtra
    without Ray.
    """
    out = Path(args.out)
    every = args.probabilities == "all"
    if not model.preprocessor.format.in_a_cell:
        raise InputError(f"--ray is for texts, and the model reads {model.preprocessor.format.nouns.many}")
    if table_options.skip_bad_rows is not None:
        raise InputError("--skip-bad-rows is not for --ray: rows without a text get null predictions")
    if check_folder(out) and not args.overwrite:
        raise InputError(f"{quote(out, 200)}: contains predictions; --overwrite replaces them")
    paths = table_paths(args.files)
    _check_formats(paths)
    versions = InputVersions(paths)
    with closing(open_table(paths[0], table_options.delimiter)) as table:
        columns = [table.column(name, "--keep") for name in args.keep or table.columns]
        text = [table.column(name, "--text") for name in table_options.texts]
        delimiter: str | None = table.delimiter
    if table_suffix(paths[0]) == ".parquet":
        delimiter = None
    added = added_names(model, every, columns)
    scorer = {
        "model": str(bundled.resolve(args.model)),
        "text": text,
        "probabilities": args.probabilities,
        "columns": dict(zip(model.target.column_names(every), added, strict=True)),
        "missing": "null",
        "precision": model.ensemble.network.precision,
        "fingerprint": model.manifest_sha256,
    }
    with scratch(out.resolve().parent, folder=True) as unfinished:
        with _ray(args.ray, args.workers) as ray:
            workers = args.workers
            if workers is None:
                cpus = int(ray.cluster_resources().get("CPU", 2))
                workers = max(1, cpus - 1)
            distinct_columns = list(dict.fromkeys([*columns, *text]))
            data = _read(ray, paths, distinct_columns, delimiter)
            data = data.repartition(target_num_rows_per_block=_BLOCK_ROWS).map_batches(
                Scorer,
                fn_constructor_kwargs=scorer,
                batch_format="pyarrow",
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=workers),
                num_cpus=1,
            )
            data.select_columns([*columns, *added]).write_parquet(str(unfinished), min_rows_per_file=ROWS_PER_FILE)
        versions.check(paths, "nothing was written; run the command again")
        return _publish(unfinished, out, paths, added[0])


def _check_formats(paths: list[str]) -> None:
    """Raise InputError unless all inputs are Parquet or all are delimited text; DataError for a missing file."""
    suffixes: tuple[str, ...] = tuple(DELIMITERS)
    if table_suffix(paths[0]) == ".parquet":
        suffixes = (".parquet",)
    for path in paths:
        if table_suffix(path) not in suffixes:
            formats = f"all inputs are .parquet, or all are {' '.join(DELIMITERS)}"
            raise InputError(f"{quote(path, 200)}: with --ray, {formats}")
        if not os.path.isfile(path):
            raise DataError(f"{quote(path, 200)}: not found")


@contextmanager
def _ray(address: str, workers: int | None) -> Iterator[Any]:
    """A connection to Ray, or for "local" Ray started on this machine with a CPU per worker and one that reads and
    writes. Ray prints nothing, and its errors become errors of one line.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its authors otherwise
    ray = required("ray", "ray", "--ray")
    required("ray.data", "ray", "--ray")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options["include_dashboard"] = False
        options["num_cpus"] = None if workers is None else workers + 1
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    host, _, port = address.rpartition(":")
    try:
        # Where nothing listens, Ray itself tries for minutes and ends the process.
        if host and "/" not in host and port.isdigit():
            socket.create_connection((host, int(port)), _CONNECT_TIMEOUT).close()
        ray.init(address=address, runtime_env={"env_vars": {"GATEWISE_THREADS": "1"}}, **options)
    except (Exception, SystemExit) as error:
        raise InputError(f"--ray {quote(address)}: cannot be reached: {quote(error, 300)[1:-1]}") from None
    try:
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        yield ray
    except GatewiseError:
        raise
    except Exception as error:
        raise _one_line(error) from None
    finally:
        ray.shutdown()


def _one_line(error: BaseException) -> GatewiseError:
    """The error of gatewise that a worker raised, or the last line of Ray's message."""
    cause: BaseException | None = error
    for _ in range(_MAX_DEPTH):
        if isinstance(cause, GatewiseError):
            return type(cause)(str(getattr(cause, "cause", cause)))
        if cause is not None:
            cause = getattr(cause, "cause", None) or cause.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return DataError(f"--ray: {quote(last, 300)[1:-1]}")


def _read(ray: Any, paths: list[str], columns: list[str], delimiter: str | None) -> Any:
    """The rows as a Ray dataset. delimiter: of CSV files, whose values are texts, as without Ray; None for Parquet."""
    paths = [str(Path(path).resolve()) for path in paths]
    if delimiter is None:
        return ray.data.read_parquet(paths, columns=columns, partitioning=None)
    import pyarrow
    from pyarrow import csv

    types = dict.fromkeys(columns, pyarrow.string())
    return ray.data.read_csv(
        paths,
        partitioning=None,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=types, include_columns=columns),
    )


def _publish(unfinished: Path, out: Path, paths: list[str], label: str) -> tuple[int, str]:
    """Number the files in the order of the rows, and give the folder its name. label: the first added column. Returns
    the number of rows, and what was written, in words.
    """
    from pyarrow import parquet

    rows = 0
    missing = 0
    files = sorted(unfinished.glob("*.parquet"))  # Ray's names end in the numbers of the task and the block
    try:
        for number, path in enumerate(files):
            labels = parquet.read_table(path, columns=[label])[0]
            rows += len(labels)
            missing += labels.null_count
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
        warn(f"{counted(missing, 'row has', 'rows have')} no text: the predictions are null")
    return rows, f"{counted(rows, 'row')} in {counted(len(files), 'file')}"
