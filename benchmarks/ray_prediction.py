"""Time of `gatewise predict` for a table of 200,000 texts: one process, and two workers of Ray on this machine.

    python -m benchmarks.ray_prediction --model src/gatewise/model/bundled/sentiment

Needs the extra `ray`. Texts are made, 60 words each. The start is the time of the same command for 256 texts; the
figure is that of the other texts. One process has one thread, as each worker of Ray, or all threads.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from benchmarks.bulk_prediction import count_rows, write_table
from gatewise.kernels.threads import threads

FEW = 256
RAY = ["--ray", "local", "--workers", "2"]


def main() -> None:
    """Print the median seconds of each way, and their ratios within a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ways = {"one process, one thread": ([], "1"), f"one process, {threads()} threads": ([], ""), "Ray": (RAY, "")}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    starts: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = write_tables(folder, options.rows)
        for number in range(options.rounds):
            for way in list(ways)[:: 1 if number % 2 == 0 else -1]:
                start = timed(options.model, few, folder / "out", *ways[way], rows=FEW)
                starts[way].append(start)
                seconds[way].append(timed(options.model, many, folder / "out", *ways[way], rows=options.rows) - start)
    for way, times in seconds.items():
        ratios = [other / own for other, own in zip(times, seconds["Ray"], strict=True)]
        print(
            f"{way:26}  start {statistics.median(starts[way]):5.1f} s  {options.rows - FEW:,} texts "
            f"{statistics.median(times):6.1f} s  {statistics.median(ratios):.2f} times Ray's"
        )


def write_tables(folder: Path, rows: int) -> tuple[Path, Path]:
    """Parquet files with a few and with so many texts."""
    write_table(folder / "in.csv", rows * 560e-6)
    table = csv.read_csv(folder / "in.csv").select(["id", "review"])
    assert table.num_rows >= rows, "the table is too small"
    paths = folder / "few.parquet", folder / "many.parquet"
    for path, count in zip(paths, (FEW, rows), strict=True):
        parquet.write_table(pa.Table.from_batches(table.slice(0, count).to_batches()), path)
    return paths


def timed(model: str, source: Path, out: Path, options: list[str], threads: str, rows: int) -> float:
    """Seconds of the command."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "gatewise", "predict", model, str(source), "--text", "review", "-o", f"{out}/"]
    environment = {**os.environ, **({"GATEWISE_THREADS": threads} if threads else {})}
    began = time.perf_counter()
    subprocess.run([*command, *options], check=True, env=environment, capture_output=True)
    seconds = time.perf_counter() - began
    assert count_rows(out) == rows
    return seconds


if __name__ == "__main__":
    main()
