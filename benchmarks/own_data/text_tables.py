"""Print the table of docs/accuracy.md ("Your own data") from results/own_data_text.json.

python -m benchmarks.own_data.text_tables
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.own_data.text import RESULTS
from benchmarks.own_data.text_sets import TEXT_SETS

PEERS = ("tfidf-lr", "nb-svm", "linear-svc")


def table(results: dict[str, Any]) -> str:
    """A row per data set that gatewise was measured on."""
    head = "rows | classes | gatewise | macro F1 | calibration error | TF-IDF + LR | NB-SVM | LinearSVC | s | peak MB"
    lines = [f"| data set | {head} |", "|---|" + "---:|" * (head.count("|") + 1)]
    for one in TEXT_SETS:
        found = results.get(one.name, {})
        if "gatewise" not in found:
            continue
        own, peers = found["gatewise"], [f"{found[name]['accuracy']:.4f}" if name in found else "" for name in PEERS]
        star = "" if one.tuned else " *"
        cells = [
            f"{one.name}{star}",
            f"{own['train']:,.0f}",
            f"{own['classes']:.0f}",
            f"{own['accuracy']:.4f}",
            f"{own['macro_f1']:.4f}",
            f"{own['calibration_error']:.3f}",
            *peers,
            _ratio(own, found.get("tfidf-lr", {})),
            f"{own['peak_mb']:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _ratio(own: dict[str, Any], peer: dict[str, Any]) -> str:
    """Seconds, and their multiple of TF-IDF with logistic regression."""
    return f"{own['seconds']:.1f}" + (f" ({own['seconds'] / peer['seconds']:.1f}x)" if peer else "")


if __name__ == "__main__":
    print(table(json.loads(RESULTS.read_text(encoding="utf-8"))))
