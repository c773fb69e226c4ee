"""All attacks by name, in the order in which they run."""

from __future__ import annotations

from trust.attack import Attacks
from trust.attacks import clocks, commands, concurrency, folders, fuzz, hub, limits, numbers, server, streams, wheels

MODULES = (folders, hub, fuzz, limits, commands, clocks, numbers, concurrency, server, streams, wheels)
ATTACKS = Attacks(one for module in MODULES for one in module.ATTACKS.items())
