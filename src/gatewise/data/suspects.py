"""What in labelled data is probably a mistake of its owner: each function returns a line for a warning, or ""."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted, quote
from gatewise.target.names import DECIMAL

INDEX = {"", "id", "index", "unnamed: 0", "__index_level_0__"}  # as pandas and others write row numbers
LABELS = {"label", "labels", "class", "classes", "target"}
_MANY = 20  # distinct names that look like numbers or dates
# With thousands in groups, a sign before and a unit after; 1.2.3 is a code.
_NUMBER = re.compile(
    r"[^\w\s]{0,2}\s?[+-]?([0-9]{1,3}([., '\u00a0\u202f][0-9]{3})+([.,][0-9]+)?|[0-9]+([.,][0-9]+)?)"
    r"\s?(%|[^\w\s]|[a-z]{1,3})?",
    re.I,
)
# A year, a month and perhaps a day; a day, a month and a year; a quarter. Not 10-19, which may be ages.
_DATE = re.compile(
    r"([0-9]{4}[-/.][0-9]{1,2}([-/.][0-9]{1,2})?|([0-9]{1,2}[-/.])?[0-9]{1,2}[-/.][0-9]{4}|[0-9]{1,2}([-/.])[0-9]{1,2}\4[0-9]{2})"
    r"([ T][0-9:.+Z-]+)?|[0-9]{4}-?Q[1-4]"
)
_MISSING = {"na", "n/a", "nan", "null", "?", "#n/a", "<na>", "nat", "None"}
_WORD = re.compile(r"\w+")
_FIRST, _LAST = 5, 3  # words of a text that may hold its label
_AT_ONCE = 64  # steps
_ORDERS = "orders the classes perfectly"
_CHANCE = 1e-6  # that one of the columns separates the classes by chance


def check_step_names(names: Iterable[str], labels: str | None = None) -> None:
    """Raise InputError for a column of a data frame of series that holds no step: row numbers, or labels.

    labels: the name of the column that the labels came from.
    """
    for name in names:
        folded = name.strip().lower()
        if folded in INDEX or folded in LABELS or name == labels:
            what = "row numbers" if folded in INDEX else "the labels"
            raise InputError(
                f"the column {quote(name)} would be read as values of the series, but has the name of {what}: leave it "
                "out, or rename it if it is a step"
            )


def suspect_classes(names: Sequence[str], count: Counter[str], name: str) -> list[str]:
    """About names of classes that may be one class, missing values, numbers or dates. count: rows of each; name: of the
    labels.
    """
    problems = []
    same = dict[str, list[str]]()  # the classes of one folded name
    for label in names:
        same.setdefault(_folded(label), []).append(label)

    def listed(labels: Sequence[str]) -> str:
        return " and ".join(f"{label!a} ({counted(count[label], 'row')})"[:60] for label in labels[:4])

    if near := [labels for labels in same.values() if len(labels) > 1]:
        more = f" and {len(near) - 3} more" if len(near) > 3 else ""
        problems.append(f"{name}: classes that are nearly equal: {'; '.join(map(listed, near[:3]))}{more}")
    if missing := [label for label in names if label in _MISSING or label.lower() in _MISSING - {"None"}]:
        problems.append(f"{name}: {listed(missing)} may be a missing value, and is read as a class")
    if len(names) <= _MANY and 2 * len(names) <= count.total():
        return problems
    for form, kind, how in (
        (_DATE, "dates", "numbers such as days, with task='regression' (--task regression)"),
        (_NUMBER, "numbers", "numbers with a decimal point and no other mark, with task='regression'"),
    ):
        like = [label for label in names if form.fullmatch(label) and not DECIMAL.fullmatch(label)]
        plain = 0
        if kind == "numbers":
            plain = sum(DECIMAL.fullmatch(label) is not None for label in names)
        if like and 10 * (len(like) + plain) >= 9 * len(names):
            problems.append(
                f"{name}: {len(names):,} classes look like {kind}, as {quote(like[0], 30)}: if they are, give {how}"
            )
            break
    return problems


def swapped(inputs: Any, labels: Any) -> str:
    """The end of a message about inputs that are single values, where the labels are texts."""
    of_rows = [isinstance(one, list | tuple) or (isinstance(one, np.ndarray) and one.ndim) for one in (inputs, labels)]
    both = [values[:20] if rows else () for values, rows in zip((inputs, labels), of_rows, strict=True)]
    single = all(isinstance(one, int | float | np.number) for one in both[0])
    texts = all(isinstance(one, str) and " " in one.strip() for one in both[1])
    return "; are inputs and labels swapped?" if len(both[1]) and single and texts else ""


def tagging_hint(inputs: Any, labels: Any) -> str:
    """The end of a message about inputs that are lists of words, where the labels are lists as long as these."""
    if not isinstance(inputs, list | tuple) or not isinstance(labels, list | tuple):
        return ""
    both = list(zip(inputs[:20], labels[:20], strict=False))
    are_words = all(
        isinstance(words, list | tuple) and all(isinstance(word, str) for word in words) for words, _ in both
    )
    are_tags = all(isinstance(tags, list | tuple) for _, tags in both)
    if not both or not are_words or not are_tags or any(len(words) != len(tags) for words, tags in both):
        return ""
    return "; for a label per word pass task='tagging' (--task tagging)"


def single_classes(inputs: Sequence[Any], labels: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Why no classifier can be trained: most classes have one row. "" where that is not so."""
    single = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 1)
    if 2 * len(single) <= len(labels) or len(labels) < 4:
        return ""
    of = counted(len(classes), "class", "classes")
    found = f"{len(single):,} of {of} have one row, as {quote(classes[single[0]], 30)}"
    texts = isinstance(inputs[0], str)
    if texts and set(map(str.strip, inputs)) == set(classes):
        return f"{found}: the labels are the texts themselves"
    spaces = np.mean([name.count(" ") for name in classes])
    if texts and spaces >= 2 and 2 * len(set(inputs)) <= len(inputs):
        return f"{found}, and {counted(len(set(inputs)), 'different text')}: are inputs and labels swapped?"
    if spaces >= 2:
        return f"{found}: the labels look like texts: is that the right column?"
    return f"{found}: a class needs two rows or more; numbers need task='regression' (--task regression)"


def _folded(name: str) -> str:
    """A name without what readers do not see, and without case."""
    name = unicodedata.normalize("NFKC", name).casefold()
    name = "".join(" " if one.isspace() else one for one in name if unicodedata.category(one) != "Cf")
    return unicodedata.normalize("NFC", " ".join(name.split()))


def leaks(inputs: Sequence[Any], target: NDArray[Any], names: Sequence[str] = ()) -> list[str]:
    """About places of the inputs that hold the label.

    inputs: n texts or n series (steps, channels). target (n,): indices of classes, or the numbers of a regression (n,)
    float64. names: of the steps of series of one channel.
    """
    if len(inputs) < 2:
        return []
    if target.dtype.kind == "f":
        if isinstance(inputs[0], str) or not (target != target[0]).any():
            return []
        number = target.astype(np.float32)
        return _of_columns(inputs, names, lambda column: (column == number).all() and "is equal to the labels")
    sizes = np.unique(target, return_counts=True)[1].tolist()
    if len(sizes) < 2:
        return []
    # The probability that values in random order have each class in one piece.
    chance = math.lgamma(len(sizes) + 1) + sum(math.lgamma(n + 1) for n in sizes) - math.lgamma(len(target) + 1)
    if isinstance(inputs[0], str):
        return _of_words(inputs, target) if chance < math.log(_CHANCE) else []
    order = np.argsort(target, kind="stable")
    starts = np.cumsum([0, *sizes[:-1]])

    def holds(column: NDArray[np.float32]) -> Any:
        ordered = column[order]
        low = np.minimum.reduceat(ordered, starts)  # of each class
        high = np.maximum.reduceat(ordered, starts)
        rank = np.argsort(low)
        if not (high[rank][:-1] < low[rank][1:]).all():  # NaN too
            return ""
        return "is equal to the labels" if (low == high).all() else _ORDERS

    columns = min(map(len, inputs)) * inputs[0].shape[1]
    return _of_columns(inputs, names, holds) if chance + math.log(max(columns, 1)) < math.log(_CHANCE) else []


def _of_columns(inputs: Sequence[Any], names: Sequence[str], holds: Callable[[Any], Any]) -> list[str]:
    """The columns of series for which `holds` says something. Where many do, or several neighbours order the classes,
    the data are like that.
    """
    lengths = list(map(len, inputs))
    channels = inputs[0].shape[1]
    found = []  # step, channel, and what is said of it
    steps = min(lengths)
    for first in [*range(0, steps, _AT_ONCE), *[-1] * (max(lengths) > steps)]:
        end = min(first + _AT_ONCE, steps) if first >= 0 else None
        part = np.stack([one[first:end] for one in inputs])
        for step, channel in np.ndindex(part.shape[1:]):
            if what := holds(part[:, step, channel]):
                found.append((first + step if first >= 0 else steps, channel, what))
    if len(found) > max(2, steps * channels // 10):
        return []
    ordering = {place[:2] for place in found if place[2] == _ORDERS}
    lines = []
    for step, channel, what in found:
        if what == _ORDERS and ordering & {(step - 1, channel), (step + 1, channel)}:
            continue  # as neighbouring steps do: the classes differ there
        place = f"step {step + 1}" if step < steps else "the last step"
        if names and step < steps and channels == 1:
            place = f"the column {quote(names[step])}"
        of = f" of channel {channel + 1}" if channels > 1 else ""
        lines.append(f"{place}{of} {what}: if it is made from the labels, leave it out")
    return lines[:3]


def _of_words(texts: Sequence[str], target: NDArray[Any]) -> list[str]:
    """The place of a word, from the begin or the end, that is another one in each class, and one word in a class."""
    labels = target.tolist()
    for place in (*range(_FIRST), *range(-1, -_LAST - 1, -1)):
        seen: dict[int, str] = {}
        classes: dict[str, int] = {}
        for text, label in zip(texts, labels, strict=True):
            row = _WORD.findall(text[:400] if place >= 0 else text[-400:])
            there = row[place].casefold() if -len(row) <= place < len(row) else ""
            if not there or seen.setdefault(label, there) != there or classes.setdefault(there, label) != label:
                break
        else:
            at = f"word {place + 1} of each text" if place >= 0 else f"word {-place} from the end of each text"
            shown = ", ".join(map(quote, list(classes)[:3]))
            return [f"{at} tells the class, as {shown}: if it is made from the labels, leave it out"]
    return []
