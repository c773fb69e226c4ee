"""The soak finds growth of memory and wrong answers, and writes its figures."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi")

from trust import soak as soaking
from trust.attacks.answers import judge as judged
from trust.attacks.requests import Wanted
from trust.server import Answer
from trust.soak import soak


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
