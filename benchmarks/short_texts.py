"""How a sentiment model predicts the texts of `short_texts.tsv`: one to six words, and longer ones of four kinds.

    python -m benchmarks.short_texts [MODEL] [--failures]

The texts were written before any model predicted them; no model is trained on them. "sure": right with a probability of
at least 0.7. A neutral text has no right class: its confidence is that of the predicted class.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

import gatewise as gw
from benchmarks.checklist import positive_probability
from gatewise.model import bundled

SURE = 0.7
LONGER = ("misspelling", "comparison", "hedge", "tweet")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.short_texts", description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default=bundled.FOLDER)
    parser.add_argument("--failures", action="store_true", help="print the texts that are not right")
    options = parser.parse_args()
    with Path(__file__).with_suffix(".tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    probability = positive_probability(gw.load(options.model), tuple(row["text"] for row in rows))
    groups = np.array([row["group"] for row in rows])
    of_label = np.where([row["sentiment"] == "positive" for row in rows], probability, 1 - probability)

    print("| texts | n | right | sure |\n|---|---:|---:|---:|")
    short = ~np.isin(groups, (*LONGER, "neutral"))
    parts = {"one to six words": short} | {name: groups == name for name in dict.fromkeys(groups) if name != "neutral"}
    for name, part in parts.items():
        found = of_label[part]
        print(f"| {name} | {len(found)} | {(found > 0.5).mean():.3f} | {(found >= SURE).mean():.3f} |")
    neutral = probability[groups == "neutral"]
    print(f"\nneutral: {len(neutral)} texts, mean confidence {np.maximum(neutral, 1 - neutral).mean():.3f}")
    for row, p in zip(rows, of_label, strict=True) if options.failures else ():
        if row["group"] != "neutral" and p <= 0.5:
            print(f"    {row['group']:12} {row['sentiment']} has {p:.2f}: {row['text']}")


if __name__ == "__main__":
    main()
