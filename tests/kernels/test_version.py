"""A compiled extension that is older than the Python sources."""

from __future__ import annotations

import pytest

from gatewise import kernels
from gatewise.errors import KernelUnavailable
from gatewise.kernels import native
from tests.kernels.batches import needs_native


@needs_native
def test_an_extension_of_an_older_version_is_said_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam fell back to NumPy without a word where the extension had no `adam_step`."""
    native.imported.cache_clear()
    monkeypatch.setattr(native, "_NEWEST", "of_the_next_version")
    try:
        reason = "the C++ extension is that of an older version: install gatewise again"
        assert kernels.unavailable_reason("native") == reason
        with pytest.raises(KernelUnavailable, match="install gatewise again"):
            kernels.get("native")
    finally:
        monkeypatch.undo()
        native.imported.cache_clear()
    assert kernels.unavailable_reason("native") is None
