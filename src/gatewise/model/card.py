"""What is known of a model: the facts that it was made with and measured at, and the card that is written from them.

Nothing on the card is typed in by hand: it is `ModelMetadata`, as sentences and tables.
A fact that was not established is left
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gatewise.metrics.evaluation import Faithfulness
from gatewise.network.architecture import Architecture, summary
from gatewise.network.ngrams import Ngrams
from gatewise.storage.markdown import plain

__all__ = ["Calibrated", "CompressionReport", "EvalResult", "ModelMetadata", "metadata_rows", "write_card"]


@dataclass(frozen=True)
class EvalResult:
    """One measurement: which data (one line), how many sequences n, accuracy in 0..1, mean cross-entropy loss, and
    expected calibration error (see `gatewise.metrics.calibration`), None where nobody looked.
    """

    data: str
    n: int
    accuracy: float
    loss: float
    calibration_error: float | None = None


@dataclass(frozen=True)
class Calibrated:
    """How the logits were brought to mean what they say (a sentence's part), the n sequences that this was fitted on,
    and what it did there.
    """

    how: str
    data: str
    n: int
    loss_before: float
    loss_after: float
    error_before: float
    error_after: float


@dataclass(frozen=True)
class CompressionReport:
    """How a model was made small, and what that cost: the same n sequences before and after; n 0 if nobody measured.

    bytes_*: of the whole folder. words_*: 0 where the vocabulary was left alone. ngrams_*: those beside the network.
    equal: share of equal verdicts, 0..1.
    """

    storage: str
    bytes_before: int
    bytes_after: int
    words_before: int = 0
    words_after: int = 0
    data: str = ""
    n: int = 0
    accuracy_before: float = 0.0
    accuracy_after: float = 0.0
    error_before: float = 0.0
    error_after: float = 0.0
    equal: float = 0.0
    ngrams_before: int = 0
    ngrams_after: int = 0


@dataclass(frozen=True)
class ModelMetadata:
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
    measured: tuple[EvalResult, ...] = ()
    faithfulness: dict[str, Faithfulness] = field(
        default_factory=dict
    )  # by method of accounting, on validation sequences
    explained_by: str = ""  # the method that those scores chose
    calibrated: Calibrated | None = None
    compression: CompressionReport | None = None

    def with_result(self, measured: EvalResult) -> ModelMetadata:
        """These facts with one more measurement; an older one on the same data is replaced."""
        others = tuple(m for m in self.measured if m.data != measured.data)
        return replace(self, measured=(*others, measured))


def write_card(
    arch: Architecture, classes: Sequence[str], metadata: ModelMetadata, ngrams: Ngrams | None = None
) -> str:
    """The card in Markdown. ngrams: the linear path beside the network, if there is one."""
    lines = ["# A gatewise model", ""]
    what = "texts" if arch.inputs == "tokens" else f"series of {arch.channels} channels"
    lines += [f"It sorts {what} into {len(classes)} classes: {', '.join(plain(c) for c in classes)}.", ""]
    lines += ["| layer | output | parameters |", "|---|---|---:|"]
    layers = summary(arch) if ngrams is None else [*summary(arch), ngrams.summary()]
    lines += [f"| {name} | {shape} | {count:,} |" for name, shape, count in layers]
    lines += [f"| all | | {sum(count for _, _, count in layers):,} |", ""]
    rows = metadata_rows(metadata)
    if rows:
        lines += ["## How it was made", "", "| | |", "|---|---|", *(f"| {k} | {plain(v)} |" for k, v in rows), ""]
    lines += [*_measured(metadata), *_calibrated(metadata), *_faith(metadata), *_shrunk(metadata)]
    say = "calibrated on the data named above, and on no other" if metadata.calibrated else "not calibrated"
    lines += [
        "## Limits",
        "",
        "It knows what its training data showed it, and nothing of other kinds of text or series. Its probabilities",
        f"are {say}. The verdict is a guess about a text, not a fact about its author.",
        "",
    ]
    return "\n".join(lines)


def _measured(metadata: ModelMetadata) -> list[str]:
    if not metadata.measured:
        return []
    lines = ["## What it was measured at", "", "| data | n | accuracy | loss | calibration error |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for m in metadata.measured:
        error = (m.accuracy * (1 - m.accuracy) / m.n) ** 0.5 if m.n else 0.0
        gap = "" if m.calibration_error is None else f"{m.calibration_error:.4f}"
        lines.append(f"| {plain(m.data)} | {m.n:,} | {m.accuracy:.4f} ± {error:.4f} | {m.loss:.4f} | {gap} |")
    return [*lines, "", "± is one standard error of the accuracy, from the number of sequences alone.", ""]


def _calibrated(metadata: ModelMetadata) -> list[str]:
    if metadata.calibrated is None:
        return []
    c = metadata.calibrated
    return [
        *("## Calibration", ""),
        f"{plain(c.how)}: what fits {c.n:,} sequences best, {plain(c.data)}.",
        f"There the loss went from {c.loss_before:.4f} to {c.loss_after:.4f},",
        f"the expected calibration error from {c.error_before:.4f} to {c.error_after:.4f}.",
        "",
    ]


def _faith(metadata: ModelMetadata) -> list[str]:
    if not metadata.faithfulness:
        return []
    lines = ["## How faithful its accounts are", "", "| method | n | comprehensiveness | sufficiency |"]
    lines += ["|---|---:|---:|---:|"]
    for name, faithfulness in metadata.faithfulness.items():
        chosen = " (the default)" if name == metadata.explained_by else ""
        numbers = f"{faithfulness.comprehensiveness:.3f} | {faithfulness.sufficiency:.3f}"
        lines.append(f"| {plain(name)}{chosen} | {faithfulness.n:,} | {numbers} |")
    lines += ["", "How far the verdict's probability falls without what the method ranks first (higher is better)"]
    return [*lines, "and with that alone (lower is better), on sequences of the validation part; docs/explain.md.", ""]


def _shrunk(metadata: ModelMetadata) -> list[str]:
    if metadata.compression is None:
        return []
    s = metadata.compression
    lines = ["## How it was made small", ""]
    words = f", and the {s.words_after:,} most frequent of {s.words_before:,} words" if s.words_after else ""
    if s.ngrams_after < s.ngrams_before:
        words += f", and the {s.ngrams_after:,} heaviest of {s.ngrams_before:,} n-grams"
    lines += [f"Kept as {plain(s.storage)}{words}: {s.bytes_before:,} bytes before, {s.bytes_after:,} after."]
    if not s.n:
        return [*lines, "What that cost has not been measured; every figure above is from before.", ""]
    lines += ["Figures above that are not on the data below are from before.", ""]
    lines += [f"| {s.n:,} sequences: {plain(s.data)} | before | after |", "|---|---:|---:|"]
    lines += [f"| accuracy | {s.accuracy_before:.4f} | {s.accuracy_after:.4f} |"]
    lines += [f"| expected calibration error | {s.error_before:.4f} | {s.error_after:.4f} |"]
    return [*lines, f"| equal verdicts | | {s.equal:.4f} |", ""]


def metadata_rows(metadata: ModelMetadata) -> list[tuple[str, str]]:
    """What is known of the making, as pairs of a name and a value; measurements apart."""
    kept = f"{metadata.kept_epoch} of {metadata.epochs}, the best on the validation part" if metadata.kept_epoch else ""
    rows = [
        ("made", metadata.made),
        ("recipe", metadata.recipe),
        ("seed", str(metadata.seed) if metadata.recipe else ""),
        ("data", metadata.data),
        ("pretrained", metadata.base),
        ("trained on", f"{metadata.trained_on:,}" if metadata.trained_on else ""),
        ("and, without labels, on", metadata.unlabelled),
        ("validated on", f"{metadata.validated_on:,} ({metadata.validation})" if metadata.validated_on else ""),
        ("epoch kept", kept),
        ("training took", f"{metadata.seconds:.0f} s" if metadata.seconds else ""),
        ("kernel", metadata.kernel),
        ("data SHA-256", metadata.fingerprint),
        ("command", f"`{metadata.command}`" if metadata.command else ""),
        ("gatewise", metadata.gatewise),
    ]
    return [(name, value) for name, value in rows if value]
