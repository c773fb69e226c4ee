"""Interleaved rounds: order, warm-up and ratios."""

from __future__ import annotations

import statistics

from benchmarks.interleave import interleave, ratio


class Fake:
    """Returns the given seconds, one per run, and logs each run."""

    def __init__(self, name: str, seconds: list[float], log: list[str]) -> None:
        self.name, self.seconds, self.log = name, iter(seconds), log

    def run(self) -> float:
        self.log.append(self.name)
        return next(self.seconds)


def test_rounds_alternate_the_order_and_warm_up_rounds_do_not_count() -> None:
    log: list[str] = []
    fakes = {
        "a": Fake("a", [9.0, 1.0, 2.0, 3.0], log),
        "b": Fake("b", [9.0, 4.0, 6.0, 5.0], log),
        "c": Fake("c", [9.0, 7.0, 7.5, 8.0], log),
    }
    times = interleave(fakes, 3, warmup=1, pause=0)
    assert "".join(log) == "abccbaabccba"
    assert times == {"a": [1.0, 2.0, 3.0], "b": [4.0, 6.0, 5.0], "c": [7.0, 7.5, 8.0]}


def test_a_ratio_is_the_median_within_a_round() -> None:
    numerator, denominator = [10.0, 60.0, 12.0], [5.0, 20.0, 3.0]  # ratios 2, 3, 4; the quotient of the medians is 2.4
    assert ratio(numerator, denominator) == 3.0
    assert statistics.median(numerator) / statistics.median(denominator) != ratio(numerator, denominator)
