"""Rules that label texts: weak supervision without labels of people (data programming: Ratner et al. 2016, 2017).

A rule is what Snorkel calls a labelling function: it reads a text and gives it a label, or abstains. All rules vote. A
text with votes for one label gets it; a text with votes for several has a conflict, and gets none.

What the rules read is removed from a text that they label. A model that is trained on it cannot learn the rules again:
it learns the words around them, which also stand in texts that no rule labels.
"""

import re
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import described, find_column
from gatewise.data.labelled import Labelled, Unlabelled, content_key
from gatewise.data.patterns import PatternProcess, Spans
from gatewise.data.tables import open_table
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.target import target_of
from gatewise.types import RuleReport

ABSTAINS = -1
CONFLICT = -2


@dataclass(frozen=True)
class Rule:
    """reads: a regular expression, which gives `label` where it is found, or a function from a text to a label, to
    (label, spans), or to None where it abstains. Spans are the (start, end) of what it has read. where: for messages.
    """

    reads: re.Pattern[str] | Callable[[str], Any]
    label: Any
    where: str

    @classmethod
    def of(cls, rule: Any, where: str) -> "Rule":
        """From (regular expression, label) or a function. Raises InputError for anything else."""
        if isinstance(rule, Rule):
            return rule
        if callable(rule):
            return cls(rule, None, where)
        if not (isinstance(rule, tuple | list) and len(rule) == 2 and isinstance(rule[0], str | re.Pattern)):
            needed = "(regular expression, label) or a function of a text"
            raise InputError(f"{where} must be {needed}, not {described(rule)}")
        try:
            pattern = re.compile(rule[0])
        except (re.error, OverflowError, RecursionError, MemoryError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise InputError(f"{where}: {quote(rule[0])} is not a regular expression: {reason}") from None
        if not isinstance(pattern.pattern, str):
            raise InputError(f"{where}: {quote(pattern.pattern)} is a regular expression of bytes, and texts are str")
        return cls(pattern, _checked_label(rule[1], where), where)

    def vote(self, text: str, matches: Spans = ()) -> tuple[Any, Spans]:
        """The label of a text, None where the rule abstains, and the spans of what it has read. matches: the spans of
        the regular expression in the text.
        """
        if isinstance(self.reads, re.Pattern):
            if matches:
                return self.label, matches
            return None, matches
        label: Any = self.reads(text)
        spans: Any = ()
        if isinstance(label, tuple) and len(label) == 2:
            label, spans = label
        try:
            places: list[tuple[int, int]] = [(index(first), index(last)) for first, last in spans]
        except (TypeError, ValueError):  # an index is a whole number
            places = [(-1, -1)]
        if not all(0 <= first <= last <= len(text) for first, last in places):
            raise InputError(f"{self.where}: spans must be a list of (start, end) in the text, not {quote(spans)}")
        if label is not None:
            label = _checked_label(label, self.where)
        return label, places

    def __str__(self) -> str:
        if isinstance(self.reads, re.Pattern):
            return f"{self.reads.pattern} -> {self.label}"
        return getattr(self.reads, "__name__", type(self.reads).__name__)


def rules_of(rules: Any) -> list[Rule]:
    """Rules as a user passes them. Raises InputError with the number of one that cannot be used."""
    if not isinstance(rules, list | tuple):
        raise InputError(f"rules must be a list of (regular expression, label) and functions, not {described(rules)}")
    if not rules:
        raise InputError("there is no rule")
    checked = [Rule.of(rule, f"rule {number}") for number, rule in enumerate(rules, 1)]
    expressions = [(rule.where, rule.reads) for rule in checked if isinstance(rule.reads, re.Pattern)]
    for matches in _matches([""], checked):
        for (where, pattern), spans in zip(expressions, matches, strict=True):
            if spans:
                raise InputError(f"{where}: {quote(pattern.pattern)} fits every text, as it fits the empty one")
    return checked


def read_rules(path: str | Path) -> list[Rule]:
    """The rules of a table with the columns pattern, a regular expression, and label.

    >>> rules = gw.data.read_rules("rules.csv")  # doctest: +SKIP

    Raises DataError or InputError with file and line.
    """
    rules = []
    with closing(open_table(path)) as table:
        try:
            names = [find_column(name, table.columns) for name in ("pattern", "label")]
        except InputError as error:
            table.fail(str(error))
        for line, cells in table.rows(lambda: False):
            where = f"{table.stream.where}:{line}"
            if isinstance(cells, str):
                raise DataError(f"{where}: {cells}")
            rules.append(Rule.of([cells[name] for name in names], where))
    return rules_of(rules)


def label_by_rules(texts: Any, rules: Any) -> Labelled:
    """The texts to which the rules give one label, without what the rules read.

    >>> rules = [(r"[89]/10", "good"), (r"[12]/10", "bad")]
    >>> data = gw.data.label_by_rules(["a warm film, 9/10", "so dull: 2/10", "no rating", "8/10 or 1/10"], rules)
    >>> data.inputs, data.labels.tolist(), data.classes
    (['a warm film,  ', 'so dull:  '], [1, 0], ('bad', 'good'))

    texts: n, or Unlabelled. rules: (regular expression, label), functions of a text that return a label, (label, spans)
    or None, or those of `read_rules`. A text is left out if no rule fits it, if rules give it different labels, and if
    nothing but spaces is left of it. Raises InputError for rules that cannot be used or label no text.
    """
    unlabelled = texts if isinstance(texts, Unlabelled) else Unlabelled.of(texts)
    names = dict[Any, int]()  # the number of each label, in the order in which the rules give them

    def class_of(rule: Rule, label: Any) -> int:
        number = names.setdefault(label, len(names))
        _refuse_boolean_as_number(rule, label, list(names)[number])
        return number

    _, labels, rests, source = _label(unlabelled, rules_of(rules), class_of)
    of_class = list(names)
    rows = np.flatnonzero(labels >= 0)
    return Labelled.of([rests[row] for row in rows], [of_class[labels[row]] for row in rows], source)


def label_unlabelled(
    unlabelled: Unlabelled, rules: Sequence[Rule], data: Labelled, validation: Labelled | None = None
) -> tuple[Labelled, Unlabelled, tuple[RuleReport, ...]]:
    """The texts to which the rules give a label, without what the rules read, the other ones, and a report per rule.

    Texts that are among the labelled ones are left out. The classes are those of `data`, on which the rules are
    measured. Raises InputError for a label that is not among them, and if no text is labelled.
    """
    own = data.target.each.class_labels.tolist()

    def class_of(rule: Rule, label: Any) -> int:
        if label in own:
            _refuse_boolean_as_number(rule, label, own[own.index(label)])
            return int(own.index(label))
        if str(label) in data.classes:
            return data.classes.index(str(label))
        raise InputError(f"{rule.where}: there is no class {quote(label)}; the classes are {', '.join(data.classes)}")

    for rule in rules:  # also one that fits no text
        if isinstance(rule.reads, re.Pattern):
            class_of(rule, rule.label)
    labelled_sets = [data]
    if validation is not None:
        labelled_sets.append(validation)
    known = set[int]()  # keys of the labelled texts
    for labelled in labelled_sets:
        unlabelled = unlabelled.without(labelled)
        known.update(labelled.input_keys.tolist())
    of_unlabelled, labels, rests, source = _label(unlabelled, rules, class_of, known)
    rows = np.flatnonzero(labels >= 0)
    reports = []
    by_rules = Labelled([rests[row] for row in rows], labels[rows], target_of(data.classes), source=source)
    coverage = (of_unlabelled != ABSTAINS).mean(axis=0).tolist()
    for rule, votes, share in zip(rules, _votes(data.inputs, rules, class_of)[0].T, coverage, strict=True):
        matched = votes != ABSTAINS
        agreement = None  # where the rule fits no labelled text
        if matched.any():
            agreement = float((votes == data.labels)[matched].mean())
        reports.append(RuleReport(str(rule), float(matched.mean()), agreement, share))
    others = [text for text, label in zip(unlabelled.texts, labels, strict=True) if label < 0]
    return by_rules, Unlabelled(others, source), tuple(reports)


def _label(
    unlabelled: Unlabelled, rules: Sequence[Rule], class_of: Callable[[Rule, Any], int], known: Set[int] = frozenset()
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str], str]:
    """The votes (n, R) on n texts; their labels (n,), ABSTAINS or CONFLICT for none; the texts without what the rules
    read, and their source. known: `content_key` of labelled texts, to which a text may be equal without its rating.
    """
    votes, rests = _votes(unlabelled.texts, rules, class_of)
    highest = votes.max(axis=1)
    lowest = np.where(votes == ABSTAINS, highest[:, None], votes).min(axis=1)
    labels = np.where(lowest == highest, highest, CONFLICT)
    for row in np.flatnonzero(labels >= 0):
        if not rests[row].strip() or content_key(rests[row]) in known:
            labels[row] = ABSTAINS
    conflicts = counted(int((labels == CONFLICT).sum()), "conflict")
    share = f"{(labels >= 0).sum():,} of {counted(len(labels), 'text')}"
    source = f"{unlabelled.source}; rules label {share}, with {conflicts}"
    if labels.max() < 0:
        raise InputError(f"{source}: there is nothing to learn from")
    return votes, labels, rests, source


def _votes(
    texts: Sequence[Any], rules: Sequence[Rule], class_of: Callable[[Rule, Any], int]
) -> tuple[NDArray[np.int64], list[str]]:
    """The class for which each rule votes (n, R), ABSTAINS for none, and the texts with a space in place of each span
    that the rules read; spans may overlap.
    """
    votes = np.full((len(texts), len(rules)), ABSTAINS)
    rests = []
    for row, (text, matches) in enumerate(zip(texts, _matches(texts, rules), strict=True)):
        read: list[tuple[int, int]] = []
        matches_of_rule = iter(matches)
        for column, rule in enumerate(rules):
            is_expression = isinstance(rule.reads, re.Pattern)
            label, spans = rule.vote(text, next(matches_of_rule) if is_expression else ())
            if label is not None:
                votes[row, column] = class_of(rule, label)
                read += [(first, last) for first, last in spans if first < last]
        parts = []
        end = 0  # of the spans so far
        for first, last in sorted(read):
            if first > end:
                parts.append(text[end:first])
            end = max(end, last)
        rests.append(" ".join([*parts, text[end:]]))
    return votes, rests


def _matches(texts: Sequence[str], rules: Sequence[Rule]) -> Iterator[list[Spans]]:
    """For each text the spans of each regular expression among the rules."""
    patterns = [rule.reads for rule in rules if isinstance(rule.reads, re.Pattern)]
    if not patterns:
        yield from ([] for _ in texts)
        return
    with PatternProcess(patterns) as process:
        yield from process.spans(texts)


def _refuse_boolean_as_number(rule: Rule, label: Any, known: Any) -> None:
    """Raise InputError where True stands for 1, or 1 for True: they are equal in Python, and two labels to a user."""
    if isinstance(label, bool | np.bool_) != isinstance(known, bool | np.bool_):
        raise InputError(f"{rule.where}: the labels {label} and {known} are equal: give True and False, or numbers")


def _checked_label(label: Any, where: str) -> Any:
    """A label that a rule gives. Raises InputError for one that is none."""
    types = str | bool | int | float | np.bool_ | np.integer | np.floating
    if not isinstance(label, types) or not str(label).strip() or label != label:
        raise InputError(f"{where}: a label is a text, a number or True or False, not {described(label)}")
    return label
