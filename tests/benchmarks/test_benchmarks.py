"""The figures of docs/benchmarks.md are those of the results; contenders that compute something else are refused."""

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest

from benchmarks import tables
from benchmarks.case import TOLERANCE
from benchmarks.cases import cases
from benchmarks.contenders.base import Arrays
from benchmarks.measure import NotEquivalent, max_relative_difference
from benchmarks.reviews import Reviews
from benchmarks.targets import TARGETS, Target, figure

TOLERANCES = dict.fromkeys(("gatewise", "peer"), TOLERANCE)


def test_the_pages_are_up_to_date() -> None:
    assert tables.main(["--check"]) == 0


def test_every_table_of_the_site_stands_at_one_marker_and_has_rows() -> None:
    pages = [path.read_text(encoding="utf-8") for path in sorted((tables.ROOT / "docs").glob("*.md"))]
    markers = re.findall(r"^<!-- site: benchmark-([a-z0-9-]+) -->$", "\n".join(pages), re.MULTILINE)
    assert sorted(markers) == sorted(tables.SITE_TABLES)
    for name, table in tables.SITE_TABLES.items():
        header, rule, *rows = table().splitlines()
        assert rows, name
        assert {line.count(" | ") for line in (header, *rows)} == {header.count(" | ")}, name
        assert set(rule) <= set("|-: "), name


def test_every_target_names_a_case_and_two_of_its_contenders() -> None:
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    made = {case.name: [contender.name for contender in case.contenders] for case in cases(tiny)}
    for target in TARGETS:
        measured = [contenders for name, contenders in made.items() if fnmatchcase(name, target.case)]
        assert (len(measured) > 1) == bool(target.over), target.name
        for count in re.findall(r"(\d+) sizes", target.description):
            assert len(measured) == int(count), target.name
        for contenders in measured:
            assert target.denominator in contenders, target.name
            sgemm = target.numerator == "sgemm" and any(n.startswith("sgemm") for n in contenders)
            assert sgemm or target.numerator in contenders, target.name


def test_a_target_over_several_cases_takes_a_statistic_of_their_ratios() -> None:
    def case(numerator: float) -> dict[str, object]:
        return {"contenders": {"torch": {"rounds": [numerator]}, "gatewise": {"rounds": [2.0]}}}

    target = Target("name", "description", 1.0, "predict_*", "torch", "gatewise", over="lowest but for a tenth")
    ratios = [1.5, 0.25, *[2.0] * 8]
    cases = {f"predict_{n}": case(2 * ratio) for n, ratio in enumerate(ratios)} | {"other": case(0.1)}
    assert figure(target, cases) == 1.5
    assert figure(replace(target, over="lowest"), cases) == 0.25
    assert figure(replace(target, over="median"), cases) == 2.0
    cases["predict_10"] = {"contenders": {"torch": {"unavailable": "reason"}, "gatewise": {"rounds": [2.0]}}}
    assert figure(target, cases) is None


def test_torch_does_not_compile_an_lstm() -> None:
    """Else torch.compile is a contender of the cases of opened networks."""
    torch = pytest.importorskip("torch")
    from benchmarks.contenders.networks import series_regression

    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 5, 4), dtype=np.float32))

    def compiled_operations(network: Any) -> str:
        operations: list[str] = []

        def backend(graph: Any, inputs: object) -> Any:
            operations.extend(str(node.target) for node in graph.graph.nodes)
            return graph

        torch.testing.assert_close(torch.compile(network, backend=backend)(x), network(x))
        return " ".join(operations).lower()

    assert "linear" in compiled_operations(torch.nn.Linear(4, 3))
    assert "lstm" not in compiled_operations(series_regression(4, 6))


@pytest.mark.parametrize("part", ["loss", "d weight_hh", "logits"])
def test_one_perturbed_number_is_refused(part: str) -> None:
    rng = np.random.default_rng(0)
    right: Arrays = {"loss": np.array(0.69), "d weight_hh": rng.standard_normal((12, 3)), "logits": rng.normal(size=7)}
    peer = {name: np.array(array * (1 + 1e-6 * rng.standard_normal(array.shape))) for name, array in right.items()}
    assert 0 < max_relative_difference("gatewise", {"gatewise": right, "peer": peer}, TOLERANCES)["peer"] < 1e-5
    peer[part] = np.array(right[part])
    peer[part].flat[-1] += 1e-3 * np.abs(right[part]).max()
    with pytest.raises(NotEquivalent, match=f"peer and gatewise are not equivalent: {part} differs by 1.0e-03$"):
        max_relative_difference("gatewise", {"gatewise": right, "peer": peer}, TOLERANCES)
