"""Where a report comes from: the fingerprint of its model, and the line that names model, date and command."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from gatewise._version import __version__
from gatewise.errors import printable
from gatewise.members.convolutions import Convolutions
from gatewise.members.member import LinearModel
from gatewise.network.architecture import Architecture
from gatewise.target import Target
from gatewise.types import Array


class IdentifiedModel(Protocol):
    """What a fingerprint is computed from; `gatewise.Model` has it."""

    @property
    def architecture(self) -> Architecture: ...
    @property
    def parameters(self) -> Mapping[str, Array]: ...
    @property
    def target(self) -> Target: ...
    @property
    def linear_model(self) -> LinearModel | None: ...


def fingerprint_of(model: IdentifiedModel) -> str:
    """Eight hexadecimal digits over classes, architecture, parameters and linear model (SHA-256)."""
    digest = hashlib.sha256(repr((model.architecture, model.target)).encode("utf-8", "surrogatepass"))
    for name in sorted(model.parameters):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(model.parameters[name]).tobytes())
    for array in _arrays_of(model.linear_model):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:8]


def provenance(model: IdentifiedModel, name: str, command: str = "") -> str:
    """One line: the model's name and fingerprint, today's date (UTC), the version of gatewise, and the command."""
    identity = f"Model {printable(name, 200)}, fingerprint {fingerprint_of(model)}"
    made = f"{identity}. Made on {today()} by gatewise {__version__}"
    return f"{made}: {printable(command, 300)}" if command else f"{made}."


def today() -> str:
    """The date in UTC, as YYYY-MM-DD."""
    return datetime.now(UTC).date().isoformat()


def _arrays_of(linear: LinearModel | None) -> list[Array]:
    """The arrays of a linear model, in the order of their names."""
    found = {} if linear is None else dict(vars(linear))
    if isinstance(linear, Convolutions):
        found |= vars(linear.banks)
    return [found[name] for name in sorted(found) if isinstance(found[name], np.ndarray)]
