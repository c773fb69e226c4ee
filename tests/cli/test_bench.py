"""`gatewise bench`: that it runs, what it says, and that nothing is timed that is not right. No figure is asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise import kernels
from gatewise.cli import bench_kernel, bench_run, bench_work
from gatewise.errors import GatewiseError
from gatewise.kernels import native
from gatewise.kernels.reference import Reference
from tests.cli.conftest import Run
from tests.kernels.batches import needs_native


@needs_native
def test_quick_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "2")
    result = run("bench", "--quick", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["isas"], found["threads"], found["quick"]) == ([native.isa()], 2, True)
    assert [(row["isa"], row["units"], row["threads"]) for row in found["kernel"]] == [
        (native.isa(), 100, 1),
        (native.isa(), 100, 2),
    ]
    for row in found["kernel"]:
        for name, flops in (("forward", 8), ("both", 24)):
            one = row[name]
            assert one["gflops"] == pytest.approx(flops * 100**2 * row["steps"] / one["ms"] / 1e6)
            assert one["share"] == pytest.approx(one["gflops"] / row["sgemm_gflops"])
    assert set(found["sgemm"]["numpy"]) == {"1", "2"}
    assert [row["threads"] for row in found["inference"]] == [1, 2]
    assert [(row["threads"], row["words"]) for row in found["latency"]] == [(1, 238)]
    assert 0 < found["error"] < 1e-5
    assert found["training"] == []
    assert any("torch" in reason for reason in found["not_measured"]), "left out without a word"
    assert "random" in found["data"]


@needs_native
def test_quick_for_people(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "1")
    result = run("bench", "--quick")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [native.isa(), "100", "1"] in [row[:3] for row in rows]
    for word in ("machine", "kernel", "data", "sgemm", "inference", "latency", "not", "right,"):
        assert any(row[:1] == [word] for row in rows), word
    assert "measuring the kernel" in result.stderr


def test_all_instruction_sets_or_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWISE_ISA", raising=False)
    reduced = [f"{isa} bf16" for isa in native.isas_bf16()]
    assert bench_run.machine(every=True)["isas"] == [*native.isas(), *reduced]
    assert bench_run.machine(every=False)["isas"] == list(native.isas()[:1])


def test_without_the_native_kernel_the_reference_is_measured_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def answer(settings: dict[str, Any]) -> dict[str, Any]:
        asked.append(settings)
        return bench_kernel.measure({**settings, "seconds": 0.0, "reviews": 2, "sequences": 2})

    monkeypatch.setattr(native, "unavailable_reason", lambda: "no compiler was there")
    monkeypatch.setattr(kernels, "_native_unavailable_reason", lambda: "no compiler was there")
    monkeypatch.setattr(bench_run, "_asked_kernel", answer)
    here = bench_run.machine(every=False) | {"threads": 2}
    found = bench_run.run(here, quick=True, note=lambda text: None)
    assert [(row["kernel"], row["isa"], row["threads"]) for row in found["kernel"]] == [("reference", None, 1)]
    assert [settings["threads"] for settings in asked] == [1]
    assert "the native kernel: no compiler was there" in found["not_measured"]


def test_without_torch_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_run, "find_spec", lambda name: None)
    here = bench_run.machine(every=False)
    assert here["torch"] is None
    monkeypatch.setattr(bench_run, "_asked_kernel", lambda settings: _nothing(settings["threads"]))
    found = bench_run.run(here, quick=False, note=lambda text: None)
    assert any("pip install 'gatewise[train]'" in reason for reason in found["not_measured"])


def _nothing(threads: int) -> dict[str, Any]:
    return {"kernel": [{"sgemm_gflops": 1.0}], "inference": {}, "latency": {}, "error": 0.0, "threads": threads}


class _Wrong(Reference):
    """A kernel whose gradient of the first state is off by a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def backward(self, *given: Any) -> Any:
        back = super().backward(*given)
        return back._replace(dh0=back.dh0 * np.float32(self.factor))


def test_a_kernel_that_is_wrong_is_not_timed() -> None:
    assert bench_kernel.check(Reference()) < 1e-5
    for factor in (1.001, np.nan):
        with pytest.raises(GatewiseError, match="nothing was timed"):
            bench_kernel.check(_Wrong(factor))


@needs_native
def test_every_kernel_that_can_be_measured_is_right() -> None:
    for name in bench_run.machine(every=True)["isas"]:
        assert bench_kernel.check(bench_kernel._kernel(name, 2)) > 0


@pytest.mark.parametrize("pair", ["padded", "packed"])
def test_a_training_step_beside_torch(pair: str) -> None:
    pytest.importorskip("torch")
    row = bench_run.beside(pair, threads=1, size=3, turns=1)
    assert row["difference"] < 1e-4
    assert row["turns"] == 1
    assert row["torch_waits"] in ("spinning", "asleep")
    assert row["ratio"] == pytest.approx(row["torch_ms"] / row["ours_ms"])
    assert set(row["torch_sgemm"]) == {"1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"w": a["w"] * np.float32(1.01)}, "differ by 1.0e-02: nothing was timed"),
        (lambda a: a | {"w": np.full(5, np.nan, np.float32)}, "differ by nan"),
        (lambda a: {"loss": a["loss"]}, "other parameters: .*'w'"),
    ],
)
def test_two_steps_that_are_not_the_same_are_not_timed(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str, tmp_path: Path
) -> None:
    same = {"loss": np.float32(0.7), "w": np.random.default_rng(3).normal(size=5).astype(np.float32)}
    np.savez(tmp_path / "a.npz", **same)
    np.savez(tmp_path / "b.npz", **change(same))
    assert bench_run._difference(tmp_path / "a.npz", tmp_path / "a.npz") == 0
    with pytest.raises(GatewiseError, match=message):
        bench_run._difference(tmp_path / "b.npz", tmp_path / "a.npz")


def test_a_process_that_fails_is_one_line() -> None:
    with pytest.raises(GatewiseError, match="a measuring process failed: KeyError: 'isas'"):
        bench_run._asked_kernel({"threads": 1, "seconds": 0})


def test_reviews_are_drawn_like_reviews() -> None:
    rng = np.random.default_rng(0)
    drawn = bench_work.lengths(rng, 20_000)
    assert abs(drawn.mean() / 238 - 1) < 0.05
    assert drawn.max() == 1000
    words = np.concatenate(bench_work.review_tokens(rng, 200))
    assert words.min() >= 4
    assert words.max() < bench_work.ROWS
    assert np.median(words) < bench_work.ROWS / 8, "common words are rare"
    batch = bench_work.kernel_batch(rng, 256, 64)
    assert 100 * 64 > batch["lengths"].sum() == len(batch["index"]), "less steps for more units"


def test_turns_take_turns() -> None:
    seen: list[str] = []
    taken = bench_work.in_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 0.0)
    assert seen == ["a", "b"] * 4
    assert set(taken) == {"a", "b"}
