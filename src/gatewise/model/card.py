"""The metadata of a model and the model card that is written from it.

`ModelMetadata` holds everything that the card states. A field that was not recorded is left out of the card.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from gatewise.errors import counted
from gatewise.members.ensemble import Ensemble
from gatewise.members.network import Network
from gatewise.target import Target
from gatewise.types import NO_COLUMNS, ColumnNames, Faithfulness, RuleReport

if TYPE_CHECKING:
    from gatewise.metrics import AnyEvaluation

_LISTED = 60  # classes that are named
MIN_CALIBRATION_ROWS = 100  # validation rows from which a model can be called calibrated
OPTIMISTIC = 0.05  # share of validation rows with a near-duplicate from which their figures are called optimistic
FEW_ROWS = 50  # rows in all, below which accuracy and probabilities are rough estimates


@dataclass(frozen=True)
class EvalResult:
    """One evaluation. data: the data set in one line. n: number of sequences, of a tagger of steps. accuracy: 0..1, of
    multi-label rows the subset accuracy; None for regression and tagging. loss: mean cross-entropy in nats, for
    regression mean squared error. calibration_error: expected calibration error (`gatewise.metrics`), None if not
    computed. scores: the main figures of multi-label, regression and tagging by name.
    """

    data: str
    n: int
    accuracy: float | None
    loss: float
    calibration_error: float | None = None
    scores: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, found: "AnyEvaluation") -> Self:
        """The main figures of an evaluation."""
        accuracy = found.scores.get("accuracy", found.scores.get("subset accuracy"))
        return cls(found.data, found.n, accuracy, found.loss, getattr(found, "calibration_error", None), found.scores)

    def shown(self, name: str, value: float) -> str:
        """A score as text; the errors of a regression have the unit of its numbers, and so six significant digits."""
        return f"{value:.6g}" if self.accuracy is None and name in ("RMSE", "MAE", "loss") else f"{value:.4f}"

    @property
    def figures(self) -> str:
        """The scores in one line."""
        scores = {name: value for name, value in self.scores.items() if name not in ("accuracy", "subset accuracy")}
        parts = [f"{name} {self.shown(name, value)}" for name, value in scores.items()]
        if self.accuracy is not None:
            from gatewise.metrics import with_interval  # a prediction does without

            name = "subset accuracy" if "subset accuracy" in self.scores else "accuracy"
            parts.insert(0, f"{name} {with_interval(self.accuracy, self.n)}")
        parts.append(f"loss {self.shown('loss', self.loss)}")
        if self.calibration_error is not None:
            parts.append(f"calibration error {self.calibration_error:.4f}")
        return ", ".join(parts)


@dataclass(frozen=True)
class CalibrationReport:
    """How the logits were calibrated, and whether held-out rows show it.

    method: one line. data, n: the predictions that were measured, of a tagger those of steps. loss_*,
    calibration_error_*: on these, before the fit of the weights and the shift and after it, by a fit that has not seen
    them. chance: the calibration error that calibrated probabilities do not exceed in 95% of samples of this size; None
    in folders of earlier versions, whose figures are those of the rows of the fit. uncalibrated_reason: why the model
    is not called calibrated, "" if it is.
    """

    method: str
    data: str
    n: int
    loss_before: float
    loss_after: float
    calibration_error_before: float
    calibration_error_after: float
    chance: float | None = None
    uncalibrated_reason: str = ""


@dataclass(frozen=True)
class NearDuplicates:
    """How many validation rows have a near-duplicate among the training rows. rows: the validation rows that were
    compared, all or a sample; found: those of them with a near-duplicate (`gatewise.data.near_duplicates`).
    """

    rows: int
    found: int

    @property
    def share(self) -> float:
        """0..1."""
        return self.found / self.rows if self.rows else 0.0

    def __str__(self) -> str:
        return f"{self.share:.0%} of {counted(self.rows, 'validation row')}"


@dataclass(frozen=True)
class CompressionReport:
    """How a model was compressed and what that changed, on the same n sequences before and after; n is 0 if the
    accuracy was not measured.

    storage: the dtype of the large tensors. bytes_*: size of the folder. vocab_*: vocabulary size, 0 if unchanged.
    agreement: fraction of sequences with the same prediction, 0..1. rmse_*: of a regression, in place of accuracy,
    calibration error and agreement. ngrams_*: number of n-grams. embeddings_*: number of distinct embeddings, 0 if
    unchanged.
    """

    storage: str
    bytes_before: int
    bytes_after: int
    vocab_before: int = 0
    vocab_after: int = 0
    data: str = ""
    n: int = 0
    accuracy_before: float = 0.0
    accuracy_after: float = 0.0
    calibration_error_before: float = 0.0
    calibration_error_after: float = 0.0
    agreement: float = 0.0
    rmse_before: float | None = None
    rmse_after: float | None = None
    ngrams_before: int = 0
    ngrams_after: int = 0
    embeddings_before: int = 0
    embeddings_after: int = 0

    @property
    def measured(self) -> list[tuple[str, str, str]]:
        """(name, before, after) of each measured figure; empty if n is 0."""
        if not self.n:
            return []
        if self.rmse_before is not None and self.rmse_after is not None:
            return [("RMSE", f"{self.rmse_before:.6g}", f"{self.rmse_after:.6g}")]
        before, after = self.calibration_error_before, self.calibration_error_after
        return [
            ("accuracy", f"{self.accuracy_before:.4f}", f"{self.accuracy_after:.4f}"),
            ("expected calibration error", f"{before:.4f}", f"{after:.4f}"),
            ("agreement of the predictions", "", f"{self.agreement:.4f}"),
        ]


@dataclass(frozen=True)
class KeptExample:
    """A row of the validation set that the page offers as an example. label: its label, in words.

    text: the text; or series: the steps, each a list of channels, None where a value is missing. columns: the numeric
    and categorical ones by name, without those that are missing.
    """

    label: str
    text: str = ""
    series: tuple[tuple[float | None, ...], ...] = ()
    columns: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelMetadata:
    """How a model was trained and evaluated. Every field is plain data and optional."""

    gatewise: str = ""  # version
    recipe: str = ""
    seed: int = 0
    data: str = ""  # the training data, one line
    fingerprint: str = ""  # SHA-256 of the training texts and labels
    n_train: int = 0
    n_validation: int = 0
    median_length: int = 0  # steps of the median training sequence, before truncation
    validation: str = ""  # how the validation set was split off
    epochs: int = 0
    best_epoch: int = 0
    seconds: float = 0.0  # training time
    kernel: str = ""
    created: str = ""  # date, UTC
    command: str = ""
    interrupted: str = ""  # "stopped in epoch 2 of 5", of a run that Ctrl-C stopped
    pretrained: str = ""  # the pretrained model that training started from
    unlabelled: str = ""  # the unlabelled texts that were used
    rules: tuple[RuleReport, ...] = ()  # that labelled some of them
    evaluations: tuple[EvalResult, ...] = ()
    faithfulness: dict[str, Faithfulness] = field(default_factory=dict)  # by attribution method, on the validation set
    attribution_method: str = ""  # the default method, chosen by `faithfulness`
    calibration: CalibrationReport | None = None
    compression: CompressionReport | None = None
    columns: ColumnNames = NO_COLUMNS  # of the table that the model was trained on
    examples: tuple[KeptExample, ...] = ()  # rows of the user's data: kept only on request
    near_duplicates: NearDuplicates | None = None  # of validation rows, among the training rows; None: not counted

    @property
    def calibrated(self) -> bool:
        """Whether held-out rows show that the probabilities are calibrated."""
        return self.calibration is not None and not self.calibration.uncalibrated_reason

    @property
    def uncalibrated_reason(self) -> str:
        """The reason, "" for a model that is calibrated and where none is known."""
        if self.calibration is not None:
            return self.calibration.uncalibrated_reason
        if 0 < self.n_validation < MIN_CALIBRATION_ROWS:
            return f"{counted(self.n_validation, 'validation row')}, at least {MIN_CALIBRATION_ROWS} are needed"
        return ""

    def with_evaluation(self, result: EvalResult) -> Self:
        """A copy with one more evaluation. It replaces an earlier one on the same data."""
        others = tuple(one for one in self.evaluations if one.data != result.data)
        return replace(self, evaluations=(*others, result))


def write_card(ensemble: Ensemble, metadata: ModelMetadata, channels: int | None = None) -> str:
    """The model card, Markdown. channels: of the series, None for those that the LSTM reads, a mask included."""
    network = ensemble.network
    target = ensemble.target
    layers = ensemble.summary()
    lines = ["# A gatewise model", "", escape_markdown(predicts(network, target, channels)), ""]
    lines += ["| layer | output | parameters |", "|---|---|---:|"]
    lines += [_row((name, shape, f"{count:,}")) for name, shape, count in layers]
    lines += [f"| total | | {sum(count for _, _, count in layers):,} |", ""]
    lines += _table(["member", "weight"], [(name, f"{weight:.2f}") for name, weight in ensemble.weight_rows()])
    lines += [_weights_note(ensemble), ""]
    if rows := network.form_rows():
        lines += ["## Network", "", *markdown_table(rows), ""]
    if rows := metadata_rows(metadata):
        lines += ["## Training", "", *markdown_table(rows), ""]
    if metadata.evaluations:
        lines += _evaluations(metadata)
    if metadata.calibration is not None:
        lines += _calibration(metadata.calibration)
    if metadata.faithfulness:
        lines += _faithfulness(metadata, target, network.nouns.steps)
    if metadata.compression is not None:
        lines += _compression(metadata.compression)
    about = network.nouns.limitation
    reliable = "The model is reliable only on data like its training data."
    labelled_rows = metadata.n_train + metadata.n_validation
    if 0 < labelled_rows < FEW_ROWS and metadata.n_train != metadata.n_validation:
        reliable += (
            f" All figures are rough estimates: {metadata.n_train} rows train and {metadata.n_validation} validate."
        )
    if target.each.has_probabilities:
        calibrated = "are calibrated on the data named above only"
        if not metadata.calibrated:
            why = escape_markdown(metadata.uncalibrated_reason)
            calibrated = f"are not calibrated: {why}" if why else "are not calibrated"
        reliable, about = f"{reliable} Its probabilities", f"{calibrated}. {about}"
    return "\n".join([*lines, "## Limitations", "", reliable, about, ""])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table with a header, one string per line, and an empty line; the columns but the first are numbers."""
    return [_row(heads), f"|---|{'---:|' * (len(heads) - 1)}", *map(_row, rows), ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _weights_note(ensemble: Ensemble) -> str:
    shift = ", ".join(f"{one:+.2f}" for one in ensemble.shift[:8]) + (", ..." if len(ensemble.shift) > 8 else "")
    noun = ensemble.target.each.score_noun
    shifted = f" Shift: {shift}." if ensemble.shift.any() else ""
    without = "" if ensemble.lstm_weight else " The LSTM has weight 0: it does not change a prediction."
    return f"The {noun} is the sum of the members' {noun}s times their weights, plus the shift.{shifted}{without}"


def predicts(network: Network, target: Target, channels: int | None = None) -> str:
    """What the model predicts, in one or two sentences; of many classes the first ones."""
    count = network.channels if channels is None else channels
    inputs = network.nouns.many
    if network.inputs.further:
        inputs += f" ({', '.join([network.main_input, *network.inputs.further])})"
    elif count:
        inputs += f" of {counted(count, 'channel')}"
    return target.sentence(inputs, network.nouns.step, _LISTED)


def _evaluations(metadata: ModelMetadata) -> list[str]:
    from gatewise.metrics import with_interval

    evaluations = metadata.evaluations
    names = list(dict.fromkeys(name for one in evaluations for name in one.scores))
    accuracy = any(one.accuracy is not None for one in evaluations) and "subset accuracy" not in names
    names = [name for name in names if name != "accuracy"]
    calibration = accuracy or any(one.calibration_error is not None for one in evaluations)
    rows = []
    for one in evaluations:
        cells = [escape_markdown(one.data), f"{one.n:,}"]
        if accuracy:
            cells.append("" if one.accuracy is None else with_interval(one.accuracy, one.n))
        cells += [one.shown(name, one.scores[name]) if name in one.scores else "" for name in names]
        cells.append(one.shown("loss", one.loss))
        if calibration:
            cells.append("" if one.calibration_error is None else f"{one.calibration_error:.4f}")
        rows.append(cells)
    heads = ["data", "n", *["accuracy"] * accuracy, *names, "loss", *["calibration error"] * calibration]
    notes = ["The interval is Wilson's. It covers the sampling of the data only."] if accuracy else []
    near = metadata.near_duplicates
    if near is not None and near.share >= OPTIMISTIC:
        notes.append(f"Figures of the validation set are optimistic: {near} have a near-duplicate in the training set.")
    return ["## Evaluation", "", *_table(heads, rows), *([*notes, ""] if notes else [])]


def _calibration(c: CalibrationReport) -> list[str]:
    lines = ["## Calibration", ""]
    if c.uncalibrated_reason:
        lines.append(f"Not calibrated: {escape_markdown(c.uncalibrated_reason)}.")
    lines += [
        f"Method: {escape_markdown(c.method)}.",
        f"Calibration data: {counted(c.n, 'prediction')}, {escape_markdown(c.data)}.",
    ]
    lines += [
        f"On this data the loss changed from {c.loss_before:.4f} to {c.loss_after:.4f}",
        f"and the expected calibration error from {c.calibration_error_before:.4f} to {c.calibration_error_after:.4f}.",
    ]
    if c.chance is not None:
        lines.append(
            f"Calibrated probabilities have an error of up to {c.chance:.4f} on so many predictions (95% of samples)."
        )
    return [*lines, ""]


def _faithfulness(metadata: ModelMetadata, target: Target, steps: str) -> list[str]:
    edited = f"the method ranks highest are {target.edit_verb}"
    only = "the drop"
    number = "{:.3f}"
    if not target.each.has_probabilities:
        only = "by how much"
        number = "{:.4g}"
    rows = []
    for name, one in metadata.faithfulness.items():
        default = " (the default)" if name == metadata.attribution_method else ""
        scores = map(number.format, (one.comprehensiveness, one.sufficiency))
        rows.append((f"{escape_markdown(name)}{default}", f"{one.n:,}", *scores))
    return [
        *("## Faithfulness of the attributions", ""),
        *_table(["method", "n", "comprehensiveness", "sufficiency"], rows),
        f"Measured on validation sequences. Comprehensiveness: {target.each.drop_text}",
        f"{steps} that {edited} (higher is better). Sufficiency: {only} when only those",
        f"{steps} are kept (lower is better). See docs/explain.md.",
        "",
    ]


def _compression(c: CompressionReport) -> list[str]:
    counts = (
        ("bytes", c.bytes_before, c.bytes_after),
        ("vocabulary size", c.vocab_before, c.vocab_after),
        ("distinct embeddings", c.embeddings_before, c.embeddings_after),
        ("n-grams", c.ngrams_before if c.ngrams_after < c.ngrams_before else 0, c.ngrams_after),
    )
    rows = [(name, f"{before:,} before, {after:,} after") for name, before, after in counts if before]
    lines = ["## Compression", "", *markdown_table([("storage", c.storage), *rows]), ""]
    if not c.n:
        return [*lines, "The effect on accuracy was not measured. All figures above are from before compression.", ""]
    return [
        *(*lines, "Figures above on other data than this are from before compression.", ""),
        *_table([f"{counted(c.n, 'sequence')}: {escape_markdown(c.data)}", "before", "after"], [])[:-1],
        *(f"| {name} |{f' {before} ' if before else ' '}| {after} |" for name, before, after in c.measured),
        "",
    ]


def metadata_rows(metadata: ModelMetadata) -> list[tuple[str, str]]:
    """The training facts as (name, value) pairs, without the evaluations."""
    best = f"{metadata.best_epoch} of {metadata.epochs} (best on the validation set)" if metadata.best_epoch else ""
    kept = counted(len(metadata.examples), "row")
    near = ""
    if metadata.near_duplicates is not None:
        near = f"{metadata.near_duplicates} have one in the training set"
    rows = [
        ("created", metadata.created),
        ("recipe", metadata.recipe),
        ("seed", str(metadata.seed) if metadata.recipe else ""),
        ("data", metadata.data),
        ("columns", str(metadata.columns)),
        ("pretrained model", metadata.pretrained),
        ("training set", f"{metadata.n_train:,}" if metadata.n_train else ""),
        ("median length", counted(metadata.median_length, "step") if metadata.median_length else ""),
        ("unlabelled texts", metadata.unlabelled),
        *[(f"rule {number}", str(report)) for number, report in enumerate(metadata.rules, 1)],
        ("validation set", f"{metadata.n_validation:,} ({metadata.validation})" if metadata.n_validation else ""),
        ("near-duplicates", near),
        ("epoch", best),
        ("interrupted", f"{metadata.interrupted}; the run is not finished" if metadata.interrupted else ""),
        ("training time", f"{metadata.seconds:.0f} s" if metadata.seconds else ""),
        ("kernel", metadata.kernel),
        ("examples", f"{kept} of the data in config.json" if metadata.examples else ""),
        ("data SHA-256", metadata.fingerprint),
        ("command", f"`{metadata.command}`" if metadata.command else ""),
        ("gatewise", metadata.gatewise),
    ]
    return [(name, value) for name, value in rows if value]


def markdown_table(rows: Sequence[tuple[str, str]]) -> list[str]:
    """A table of two columns without a header, one string per line; the values are escaped."""
    return ["| | |", "|---|---|", *(f"| {name} | {escape_markdown(value)} |" for name, value in rows)]


def escape_markdown(text: str) -> str:
    """`text` on one line, with HTML entities for every character that could break a table or become markup.

    >>> escape_markdown("a | <b>")
    'a &#124; &lt;b&gt;'
    """
    flat = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    for mark, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("[", "&#91;"), ("]", "&#93;")):
        flat = flat.replace(mark, safe)
    return flat
