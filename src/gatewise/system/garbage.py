"""Pauses of Python's garbage collection, while much is made that stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection within the block: imports and models make many objects and hardly any garbage, and to
    search them takes a tenth of the time of one prediction.

    Afterwards all objects are in the oldest generation, as if a collection had kept them, so that the next one of the
    youngest generation does not search them either.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        if was_enabled:
            gc.enable()
