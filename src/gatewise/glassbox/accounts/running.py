"""The running logit: how far the verdict moved when each step was read. Exact, and in one direction free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.glassbox.accounts.account import Account, Reading
from gatewise.glassbox.gates import open_all
from gatewise.glassbox.net import Net
from gatewise.glassbox.readout import logits_after
from gatewise.verdict import margin

__all__ = ["Running"]


class Running:
    """score_t = margin after t steps - margin after t - 1: the sum telescopes, so nothing is left over.

    That the reading of a recurrent classifier of sentiment is a count of evidence along a line is what Maheswaranathan
    et al. (2019) found. With two directions "after t steps" is a sequence that ends there: `gatewise.glassbox.running`.
    """

    adds_up = True

    def note(self, net: Net) -> str:
        behind = ", read from the state of this run behind its own pads" if net.arch.padding == "pre" else ""
        return (
            f"How far the running verdict moved when the {net.thing} was read{behind}; with the start it adds up to "
            "the logit, and it is an account of the reading, not a cause."
        )

    def start_note(self, net: Net) -> str:
        return "the bias, and the state after the pads" if net.arch.padding == "pre" else "the bias"

    def accounts(self, net: Net, readings: Sequence[Reading], channels: bool = False) -> list[Account]:
        reads = [reading.read for reading in readings]
        found = []
        for reading, (lstms, _, _) in zip(readings, open_all(net, reads), strict=True):
            after = margin(logits_after(net, reading.read, lstms), reading.predicted)  # (T + 1,)
            found.append(Account(np.diff(after), float(after[0])))
        return found
