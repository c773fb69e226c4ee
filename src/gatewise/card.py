"""What is known of a model: the facts that it was made with and measured at, and the card that is written from them.

Nothing on the card is typed in by hand: it is `Facts`, as sentences and tables. A fact that was not established is left
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gatewise.architecture import Architecture, summary
from gatewise.markdown import plain
from gatewise.ngrams import Ngrams
from gatewise.verdict import Faith

__all__ = ["Facts", "Measured", "fact_rows", "write_card"]


@dataclass(frozen=True)
class Measured:
    """One measurement: which data (one line), how many sequences n, accuracy in 0..1, mean cross-entropy loss."""

    data: str
    n: int
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Facts:
    """Where a model comes from. All of it is plain data and optional."""

    gatewise: str = ""
    recipe: str = ""
    seed: int = 0
    data: str = ""
    fingerprint: str = ""  # SHA-256 over the training data's texts and labels
    trained_on: int = 0
    validated_on: int = 0
    validation: str = ""  # how the validation part was cut
    epochs: int = 0
    kept_epoch: int = 0
    seconds: float = 0.0
    kernel: str = ""
    made: str = ""  # date, UTC
    command: str = ""
    base: str = ""  # what it was pretrained on
    unlabelled: str = ""  # texts without labels that it was trained on
    measured: tuple[Measured, ...] = ()
    faith: dict[str, Faith] = field(default_factory=dict)  # by method of accounting, on validation sequences
    explained_by: str = ""  # the method that those scores chose
    calibrated: str = ""  # by what the network and the n-grams were multiplied, and on what that was fitted

    def with_measured(self, measured: Measured) -> Facts:
        """These facts with one more measurement; an older one on the same data is replaced."""
        others = tuple(m for m in self.measured if m.data != measured.data)
        return replace(self, measured=(*others, measured))


def write_card(arch: Architecture, classes: Sequence[str], facts: Facts, ngrams: Ngrams | None = None) -> str:
    """The card in Markdown. ngrams: the linear path beside the network, if there is one."""
    lines = ["# A gatewise model", ""]
    what = "texts" if arch.inputs == "tokens" else f"series of {arch.rows} channels"
    lines += [f"It sorts {what} into {len(classes)} classes: {', '.join(plain(c) for c in classes)}.", ""]
    lines += ["| layer | output | parameters |", "|---|---|---:|"]
    layers = summary(arch) if ngrams is None else [*summary(arch), ngrams.summary()]
    lines += [f"| {name} | {shape} | {count:,} |" for name, shape, count in layers]
    lines += [f"| all | | {sum(count for _, _, count in layers):,} |", ""]
    rows = fact_rows(facts)
    if rows:
        lines += ["## How it was made", "", "| | |", "|---|---|", *(f"| {k} | {plain(v)} |" for k, v in rows), ""]
    if facts.measured:
        lines += ["## What it was measured at", "", "| data | n | accuracy | loss |", "|---|---:|---:|---:|"]
        for m in facts.measured:
            error = (m.accuracy * (1 - m.accuracy) / m.n) ** 0.5 if m.n else 0.0
            lines.append(f"| {plain(m.data)} | {m.n:,} | {m.accuracy:.4f} ± {error:.4f} | {m.loss:.4f} |")
        lines += ["", "± is one standard error of the accuracy, from the number of sequences alone.", ""]
    if facts.faith:
        lines += ["## How faithful its accounts are", "", "| method | n | comprehensiveness | sufficiency |"]
        lines += ["|---|---:|---:|---:|"]
        for name, faith in facts.faith.items():
            chosen = " (the default)" if name == facts.explained_by else ""
            numbers = f"{faith.comprehensiveness:.3f} | {faith.sufficiency:.3f}"
            lines.append(f"| {plain(name)}{chosen} | {faith.n:,} | {numbers} |")
        lines += ["", "How far the verdict's probability falls without what the method ranks first (higher is better)"]
        lines += ["and with that alone (lower is better), on sequences of the validation part; docs/glassbox.md.", ""]
    known = "calibrated on its validation part, and nowhere else" if facts.calibrated else "not calibrated"
    lines += [
        "## Limits",
        "",
        "It knows what its training data showed it, and nothing of other kinds of text or series. Its probabilities",
        f"are {known}. The verdict is a guess about a text, not a fact about its author.",
        "",
    ]
    return "\n".join(lines)


def fact_rows(facts: Facts) -> list[tuple[str, str]]:
    """What is known of the making, as pairs of a name and a value; measurements apart."""
    kept = f"{facts.kept_epoch} of {facts.epochs}, the best on the validation part" if facts.kept_epoch else ""
    rows = [
        ("made", facts.made),
        ("recipe", facts.recipe),
        ("seed", str(facts.seed) if facts.recipe else ""),
        ("data", facts.data),
        ("pretrained", facts.base),
        ("trained on", f"{facts.trained_on:,}" if facts.trained_on else ""),
        ("and, without labels, on", facts.unlabelled),
        ("validated on", f"{facts.validated_on:,} ({facts.validation})" if facts.validated_on else ""),
        ("epoch kept", kept),
        ("calibrated", facts.calibrated),
        ("training took", f"{facts.seconds:.0f} s" if facts.seconds else ""),
        ("kernel", facts.kernel),
        ("data SHA-256", facts.fingerprint),
        ("command", f"`{facts.command}`" if facts.command else ""),
        ("gatewise", facts.gatewise),
    ]
    return [(name, value) for name, value in rows if value]
