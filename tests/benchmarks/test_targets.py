"""Figures are computed from times, every target names an existing case, and the pages match the results.

Options that would measure nothing, or write part of the results, are refused.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks import tables
from benchmarks.accuracy import __main__ as accuracy
from benchmarks.cases import cases
from benchmarks.contenders.base import Arrays
from benchmarks.equivalence import NotEquivalent, max_relative_difference
from benchmarks.interleave import interleave, ratio
from benchmarks.reviews import Reviews
from benchmarks.tables import RESULTS
from benchmarks.targets import TARGETS, Target, figure, summary


def case(scale: float = 1.0, **rounds: list[float]) -> dict[str, Any]:
    rows = {name.replace("_", " "): {"seconds": sorted(t)[len(t) // 2], "rounds": t} for name, t in rounds.items()}
    return {"scale": scale, "contenders": rows}


# 6 GFLOP in 2 s, and 0.25 s for one GFLOP: 3 of 4 GFLOP/s
SGEMM = case(6.0, b=[2.0], sgemm_x=[0.25], sgemm_y=[1.0])


@pytest.mark.parametrize(
    ("target", "measured", "expected"),
    [
        (Target("n", "w", 2, "c", "a", "b"), case(a=[4, 9, 8], b=[2, 3, 2]), 3.0),
        (Target("n", "w", 1.1, "c", "a", "b", formula="scaled", scale=10), case(a=[22.0], b=[2.0]), 1.1),
        (Target("n", "w", None, "c", "a", "a", formula="first_round"), case(a=[9, 2, 4, 3]), 3.0),
        (Target("n", "w", None, "c", "a", "b", formula="idle"), case(a=[10.0], b=[8.0]), 0.75),
        (Target("n", "w", 0.7, "c", "sgemm", "b", formula="sgemm_share"), SGEMM, 0.75),
    ],
)
def test_figures(target: Target, measured: dict[str, Any], expected: float) -> None:
    assert figure(target, {"c": measured}) == pytest.approx(expected)


def test_an_unavailable_contender_has_no_figure() -> None:
    target = Target("n", "w", 2, "c", "a", "b")
    assert figure(target, {}) is None
    contenders = {"a": {"rounds": [1.0]}, "b": {"unavailable": "no such build"}}
    assert figure(target, {"c": {"contenders": contenders}}) is None


def test_every_target_names_a_case_and_two_of_its_contenders() -> None:
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    made = {case.name: [contender.name for contender in case.contenders] for case in cases(tiny)}
    for target in TARGETS:
        assert target.denominator in made[target.case], target.name
        sgemm = target.formula == "sgemm_share" and any(n.startswith("sgemm") for n in made[target.case])
        assert sgemm or target.numerator in made[target.case], target.name
    assert len({target.name for target in TARGETS}) == len(TARGETS)


def test_the_stored_summary_matches_the_full_results() -> None:
    full, short = (Path(RESULTS / f"{name}.json") for name in ("full", "summary"))
    assert full.exists() == short.exists()
    if full.exists():
        expected = summary(json.loads(full.read_text(encoding="utf-8"))["cases"])
        assert json.loads(short.read_text(encoding="utf-8")) == expected


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


def results() -> dict[str, Arrays]:
    rng = np.random.default_rng(0)
    correct = {"loss": np.array(0.69), "d weight_hh": rng.standard_normal((12, 3)), "logits": rng.standard_normal(7)}
    noise = {name: np.array(array * (1 + 1e-6 * rng.standard_normal(array.shape))) for name, array in correct.items()}
    return {"gatewise": correct, "peer": noise}


def test_rounding_is_accepted() -> None:
    worst = max_relative_difference("gatewise", results())
    assert worst["gatewise"] == 0
    assert 0 < worst["peer"] < 1e-5


@pytest.mark.parametrize("part", ["loss", "d weight_hh", "logits"])
def test_one_perturbed_number_is_refused(part: str) -> None:
    arrays = results()
    arrays["peer"][part] = np.array(arrays["gatewise"][part])
    arrays["peer"][part].flat[-1] += 1e-3 * np.abs(arrays["gatewise"][part]).max()
    with pytest.raises(NotEquivalent, match=f"peer and gatewise are not equivalent: {part} differs by 1.0e-03$"):
        max_relative_difference("gatewise", arrays)
    assert max_relative_difference("gatewise", arrays, {"peer": 0.01})["peer"] == pytest.approx(1e-3, rel=0.01)


def test_missing_misshapen_and_non_finite_arrays_are_refused() -> None:
    arrays = results()
    del arrays["peer"]["logits"]
    with pytest.raises(NotEquivalent, match="only one of them returns logits"):
        max_relative_difference("gatewise", arrays)
    arrays = results()
    arrays["peer"]["d weight_hh"] = arrays["peer"]["d weight_hh"].T
    with pytest.raises(NotEquivalent, match=r"d weight_hh has shape \(3, 12\)"):
        max_relative_difference("gatewise", arrays)
    arrays = results()
    arrays["peer"]["loss"] = np.array(np.nan)
    with pytest.raises(NotEquivalent, match="loss is not finite"):
        max_relative_difference("gatewise", arrays)


def test_the_pages_are_up_to_date() -> None:
    assert tables.main(["--check"]) == 0


def test_check_fails_for_a_page_that_differs_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, results = tmp_path / "page.md", (None, dict.fromkeys([target.name for target in TARGETS], 2.5))
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", ("page.md",))
    monkeypatch.setattr(tables, "results", lambda: results)
    page.write_text(text := "Text 1.00x.\n<!-- benchmarks: targets -->\nold\n<!-- end -->\n", encoding="utf-8")
    assert tables.main(["--check"]) == 1
    assert "page.md: outdated" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == text
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert page.read_text(encoding="utf-8").startswith("Text 1.00x.\n<!-- benchmarks: targets -->\n")
    assert "old" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        (bench, "--only step_tutorail_2", "no case is called 'step_tutorail_2'"),
        (bench, "--only step_*,latncy_1", "no case is called 'latncy_1'"),
        (bench, "--only=", "no case is called ''"),
        (bench, "--rounds 0", "--rounds: it must be at least 1"),
        (bench, "--update", "--update needs --only"),
        (bench, "--update --only latency_1 --quick", "--update needs --only"),
        (accuracy, "--data none.tar.gz --rows bset", "no row is called bset"),
    ],
)
def test_wrong_options(
    module: Any, words: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "names", lambda: ["step_tutorial_2", "latency_1"])  # all of them take seconds
    monkeypatch.setattr("sys.argv", ["benchmark", *words.split()])
    with pytest.raises(SystemExit, match="2"):
        module.main()
    assert message in capsys.readouterr().err
