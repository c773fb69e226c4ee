"""The soak finds growth of memory and wrong answers, and writes its figures."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("fastapi")

from trust import soak as soaking
from trust.attacks.answers import judge as judged
from trust.attacks.requests import Wanted
from trust.server import Answer
from trust.soak import Record, paragraph, soak


def test_the_figures_show_growth() -> None:
    leaking = [(60.0 * n, 100_000_000 + 1_000_000 * n) for n in range(61)]
    text = paragraph(Record(Counter({200: 1000, 400: 20, 500: 1}), leaking), 2, 3)
    assert "60 minutes, 2 workers: 1,021 answers, of which 20 refused a bad request and 1 failed." in text
    assert "Memory, the mean of each sixth of the time: 104, 114, 124, 134, 144, 155 MB" in text
    assert "`python -m trust.soak --minutes 60 --workers 2 --seed 3`" in text


def test_a_soak_ends_at_the_first_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    right: list[str | None] = []

    def judge(wanted: list[Wanted], answers: list[Answer]) -> str | None:
        right.append(judged(wanted, answers))
        return "wrong" if len(right) > 40 else right[-1]

    monkeypatch.setattr(soaking, "judge", judge)
    record = soak(30, 1, seed=2)
    assert set(record.problems) == {"wrong"}
    assert set(right) == {None}
    assert record.statuses[200] >= 40
    assert min(size for _, size in record.memory) > 10_000_000
