"""Pauses of garbage collection: `gatewise.system.garbage`."""

import gc
import weakref

import pytest

from gatewise.system.garbage import collection_paused


class Node:
    """An object that only a garbage collection removes: it holds itself."""

    def __init__(self) -> None:
        self.itself = self


def test_no_collection_runs_within_the_block() -> None:
    threshold = gc.get_threshold()[0]
    runs: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        runs.append(phase)

    gc.callbacks.append(note)
    try:
        with collection_paused():
            kept = [[number] for number in range(20 * threshold)]
            assert runs == []
        youngest = gc.get_objects(generation=0)
        assert len(youngest) < threshold, "the objects of the block wait for the next collection"
    finally:
        gc.callbacks.remove(note)
    assert gc.isenabled()
    assert len(kept) == 20 * threshold


def test_garbage_of_the_block_is_collected_later() -> None:
    with collection_paused():
        node = Node()
        dead = weakref.ref(node)
        del node
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert dead() is None


def test_it_ends_as_it_began() -> None:
    with pytest.raises(ValueError, match="within"), collection_paused():
        raise ValueError("within")
    assert gc.isenabled()
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
