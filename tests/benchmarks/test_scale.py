"""The model of data-parallel training, and the tables of docs/scale.md."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.scale import Network, Step, gloo, main, rendered

RUN = {"step": 0.1, "exchange": 0.01, "dense": 1_000_000.0, "rows": 2_000.0, "width": 100.0, "table": 20_000.0}
RESULTS: dict[str, Any] = {
    "when": "2026-01-02 03:04",
    "machine": {"processor": "made", "cores": 2},
    "all_reduce": {"64": 100e-6, "1000064": 1100e-6},
    "cases": {
        "tutorial": {
            "batch": 32,
            "1": RUN,
            "1/2": RUN | {"step": 0.06, "rows": 1_414.2},
            "1/4": RUN | {"step": 0.04, "rows": 1_000.0},
            "two": RUN | {"step": 0.07},
            "speedup": 1.5,
        }
    },
}


def test_the_fit() -> None:
    network = gloo(RESULTS)
    step = Step.of(RESULTS["cases"]["tutorial"], network)
    assert step.compute(32) == pytest.approx(0.1)
    assert step.compute(8) == pytest.approx(0.04)
    assert step.scale * 32**step.power == pytest.approx(2_000, rel=1e-3)
    assert step.local + step.messages(2, 16, network) == pytest.approx(0.01), "what two processes took"
    assert network.latency == pytest.approx(50e-6)
    assert network.bandwidth == pytest.approx(4e9, rel=1e-6)


def test_the_messages() -> None:
    step = Step(0.0, 0.001, dense=1000.0, table=100.0, width=10.0, scale=10.0, power=0.5)
    network = Network(latency=1.0, bandwidth=1.0)
    # 4 rows read 20 of the table: by row 8 + 40 bytes each, for fewer than 200 rows of all processes together.
    assert step.messages(2, 4, network) == pytest.approx((1 + 64) + 2 * (1 + 2000) + (2 + 48 * 20))
    assert step.messages(10, 4, network) == pytest.approx(9 * (65 + 2 * 401 + 3 + 8 * 20 + 8 * 100 * 10 / 10))
    assert step.messages(1, 4, network) == 0
    assert step.efficiency(1, 4, network) == 1
    fast = Network(1e-4, 1e7)
    least = step.least_rows(64, fast)
    assert least is not None
    assert step.efficiency(64, least, fast) >= 0.5 > step.efficiency(64, max(1, int(least / 1.2)), fast)
    assert step.least_rows(64, network) is None


def test_the_page() -> None:
    marked = "<!-- benchmarks: {} -->\nold\n<!-- end -->\n"
    page = marked.format("data-parallel") + marked.format("many-machines")
    text = rendered(page, RESULTS)
    assert "| tutorial (LSTM 100, 32 texts) | 100.0 ms | 70.0 ms | 1.50x | 75% | 10.0 ms |" in text
    assert "gloo on this machine: 50 µs per message, 4.0 GB/s." in text
    assert "10 Gbit/s" in text
    assert "old" not in text
    assert rendered(page, None).count("Not measured yet") == 2
    assert main(["--check"]) == 0
