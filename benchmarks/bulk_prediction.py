"""Peak memory and time of `gatewise predict -m MODEL -i in.csv -o out.csv` for files of 3, 30 and 300 MB.

    python benchmarks/bulk_prediction.py             about ten minutes
    python benchmarks/bulk_prediction.py --megabytes 3 30
    python benchmarks/bulk_prediction.py --megabytes 250 1000 --out out/
    python benchmarks/bulk_prediction.py --megabytes 250 1000 --out out/ --parquet

The model is a small one, trained on made-up texts. The peak is the largest resident set size of the process.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gatewise as gw

WORDS = [f"word{n}" for n in range(5_000)] + ["good", "bad", "film"] * 300


def write_table(path: Path, megabytes: float) -> int:
    """A table with texts of 60 words: the number of rows."""
    rng, rows = random.Random(1), 0
    with open(path, "w", encoding="utf-8") as file:
        file.write("id,review,stars\n")
        while file.tell() < megabytes * 1e6:
            for _ in range(1_000):
                file.write(f'{rows},"{" ".join(rng.choices(WORDS, k=60))}, {rows}",{rows % 5}\n')
                rows += 1
    return rows


def as_parquet(source: Path) -> Path:
    """The table as a Parquet file, converted in blocks."""
    from pyarrow import csv, parquet

    target = source.with_suffix(".parquet")
    with csv.open_csv(source) as reader, parquet.ParquetWriter(target, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    return target


def count_rows(out: Path) -> int:
    """The rows of an output, a table or a folder of tables."""
    files = sorted(out.glob("part-*")) if out.is_dir() else [out]
    if files[0].suffix == ".parquet":
        from pyarrow import parquet

        return sum(parquet.read_metadata(file).num_rows for file in files)
    rows = 0
    for path in files:
        with open(path, encoding="utf-8") as file:
            rows += sum(1 for _ in file) - 1
    return rows


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds, and the peak in MB, of a command in a process of its own."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - began, int(done.stdout.split()[-1]) * unit / 1e6


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[3, 30, 300])
    parser.add_argument("--units", type=int, default=4)
    parser.add_argument("--out", default="out.csv", help="a table, or a folder: out/")
    parser.add_argument("--parquet", action="store_true", help="the input is a Parquet file")
    sizes = parser.parse_args()
    rng = random.Random(2)
    texts = [f"a {'good' if n % 2 else 'bad'} film {' '.join(rng.choices(WORDS, k=20))}" for n in range(400)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gw.train(texts, [n % 2 for n in range(400)], epochs=1, units=sizes.units, out=folder / "model")
        for megabytes in sizes.megabytes:
            source, out = folder / "in.csv", folder / sizes.out
            rows = write_table(source, megabytes)
            source = as_parquet(source) if sizes.parquet else source
            command = ["-m", "gatewise", "predict", "-m", str(folder / "model"), "-i", str(source)]
            target = f"{out}/" if sizes.out.endswith("/") else str(out)
            seconds, peak = measured([sys.executable, *command, "--text", "review", "-o", target])
            assert count_rows(out) == rows
            result = {"megabytes": megabytes, "rows": rows, "seconds": round(seconds, 1), "peak_mb": round(peak, 1)}
            print(json.dumps(result), flush=True)
            shutil.rmtree(out) if out.is_dir() else out.unlink()


if __name__ == "__main__":
    main()
