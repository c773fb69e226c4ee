"""What satellites add to the core. The core calls them by these tables and imports none of them.

`gatewise/__init__.py` fills the tables, and every import of a module of gatewise runs it first. This module imports
nothing, as the front door.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

EXPORT_FORMATS: dict[str, Callable[..., Any]] = {}
"""The formats of `Model.export` by name: from a model, a path and the options of the format to an `ExportReport`. The
name is also the ending of a file of this format."""

FOLDER_SOURCES: dict[str, Callable[..., Any]] = {}
"""Where `gatewise.load` finds folders, by the scheme of an address, such as "hf" of "hf://owner/name": from the address
to the verified `Folder`."""

FOLDER_KINDS: dict[str, Callable[..., Any]] = {}
"""What `gatewise.load` opens besides models, by the `kind` in config.json: from a `Folder` and the precision."""
