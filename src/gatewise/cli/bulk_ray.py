"""Predictions with Ray Data: the Scorer runs on a pool of actors, on this machine or on a cluster.

Ray reads the input, Parquet or CSV, and writes Parquet. It restarts a worker that dies and repeats its tasks. The
output is written under another name and gets its own when it is complete. Workers of other machines need gatewise, and
the same paths.
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
    from gatewise.model.model import Model

_BLOCK_ROWS = 4096  # of a task of an actor
_CONNECT = 5.0  # seconds, to an address
_DEEPEST = 20  # errors that Ray puts around one of a worker


def predict_with_ray(model: Model, given: Any, table_options: TableOptions) -> tuple[int, str]:
    """Predict the rows of Parquet or CSV files into Parquet files in the folder `out`: the number of rows, and what was
    written, in words.

    given: the options of `gatewise predict`; ray: the address of the cluster, as `ray.init` takes it, "local" starts
    Ray here; workers: actors with one CPU each, None for all CPUs but one, which reads and writes. Raises InputError,
    DataError for inputs, outputs and addresses that do not fit, MissingExtra without Ray.
    """
    out, workers, every = Path(given.out), given.workers, given.probabilities == "all"
    if not model.preprocessor.format.in_a_cell:
        raise InputError("--ray is for texts, and the model reads series")
    if table_options.skip_bad_rows is not None:
        raise InputError("--skip-bad-rows is not for --ray: rows without a text get null predictions")
    if check_folder(out) and not given.overwrite:
        raise InputError(f"{quote(out, 200)}: contains predictions; --overwrite replaces them")
    paths = table_paths(given.files)
    of_parquet = table_suffix(paths[0]) == ".parquet"
    for path in paths:
        if table_suffix(path) not in ((".parquet",) if of_parquet else DELIMITERS):
            formats = f"all inputs are .parquet, or all are {' '.join(DELIMITERS)}"
            raise InputError(f"{quote(path, 200)}: with --ray, {formats}")
        if not os.path.isfile(path):
            raise DataError(f"{quote(path, 200)}: not found")
    versions = InputVersions(paths)
    with closing(open_table(paths[0], table_options.delimiter)) as table:
        columns = [table.column(name, "--keep") for name in given.keep or table.columns]
        text = [table.column(name, "--text") for name in table_options.texts]
    new = added_names(model, every, columns)
    scorer = {
        "model": str(bundled.resolve(given.model)),
        "text": text,
        "probabilities": "all" if every else "top",
        "columns": dict(zip(model.target.column_names(every), new, strict=True)),
        "missing": "null",
        "precision": model.ensemble.lstm.precision,
        "fingerprint": model.manifest_sha256,
    }
    with scratch(out.resolve().parent, folder=True) as unfinished:
        with _ray(given.ray, None if workers is None else workers + 1) as ray:
            cpus = int(ray.cluster_resources().get("CPU", 2))
            data = _read(ray, paths, list(dict.fromkeys([*columns, *text])), None if of_parquet else table.delimiter)
            data = data.repartition(target_num_rows_per_block=_BLOCK_ROWS).map_batches(
                Scorer,
                fn_constructor_kwargs=scorer,
                batch_format="pyarrow",
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=workers or max(1, cpus - 1)),
                num_cpus=1,
            )
            data.select_columns([*columns, *new]).write_parquet(str(unfinished), min_rows_per_file=ROWS_PER_FILE)
        versions.check(paths, "nothing was written; run the command again")
        return _publish(unfinished, out, paths, new[0])


@contextmanager
def _ray(address: str, cpus: int | None) -> Iterator[Any]:
    """Ray, connected or with `cpus` started here, quiet; its errors become errors of one line."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its authors otherwise
    ray = required("ray", "ray", "--ray")
    required("ray.data", "ray", "--ray")
    host, _, port = address.rpartition(":")
    quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        quiet |= {"include_dashboard": False, "num_cpus": cpus}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        if host and "/" not in host and port.isdigit():  # Ray itself tries for minutes, and ends the process
            socket.create_connection((host, int(port)), _CONNECT).close()
        ray.init(address=address, runtime_env={"env_vars": {"GATEWISE_THREADS": "1"}}, **quiet)
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
    """The error of gatewise that a worker raised, or the last line of Ray's."""
    one: BaseException | None = error
    for _ in range(_DEEPEST):
        if isinstance(one, GatewiseError):
            return type(one)(str(getattr(one, "cause", one)))
        one = one and (getattr(one, "cause", None) or one.__cause__)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return DataError(f"--ray: {quote(lines[-1] if lines else type(error).__name__, 300)[1:-1]}")


def _read(ray: Any, paths: list[str], columns: list[str], delimiter: str | None) -> Any:
    """The rows as a Ray dataset; the values of a CSV file are texts, as they are without Ray."""
    paths = [str(Path(path).resolve()) for path in paths]
    if delimiter is None:
        return ray.data.read_parquet(paths, columns=columns, partitioning=None)
    import pyarrow
    from pyarrow import csv

    kinds = dict.fromkeys(columns, pyarrow.string())
    return ray.data.read_csv(
        paths,
        partitioning=None,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=kinds, include_columns=columns),
    )


def _publish(unfinished: Path, out: Path, paths: list[str], label: str) -> tuple[int, str]:
    """Give the files plain names, in the order of the rows, and the folder its own."""
    from pyarrow import parquet

    rows = missing = 0
    files = sorted(unfinished.glob("*.parquet"))  # Ray's names end in the numbers of the task and the block
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
        warn(which)
    return rows, f"{counted(rows, 'row')} in {counted(len(files), 'file')}"
