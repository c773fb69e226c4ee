"""`FeatureMasks`: which steps a value of a graph says are read: by their ids, by their numbers, or by the lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.features import (
    Axis,
    Columns,
    Count,
    Equals,
    Features,
    Filled,
    Kept,
    NotRecognised,
    Numbers,
    Read,
    Rule,
    Series,
    Source,
    StepNumber,
    Token,
    Value,
    aligned,
    numbers_of,
    without_axes,
)
from gatewise.network.token_functions import TokenFunctions


class FeatureMasks:
    """columns, tokens: of all values."""

    def __init__(self, columns: Columns, tokens: TokenFunctions) -> None:
        self.columns = columns
        self.tokens = tokens

    def count(self, rule: Rule, less: int = 0) -> Numbers:
        return self.columns.once(("count", rule, less), Count(rule, less), 1)

    def of(self, value: Value) -> tuple[Rule | None, bool]:
        """The rule of a mask, and whether the value is true, or 1, for the steps that it reads. None: it reads all
        steps. Raises NotRecognised for a value that is no mask.
        """
        if not isinstance(value, Features) or len(np.unique(value.columns)) != 1:
            raise NotRecognised("what it reads is no mask of steps")
        source, [place] = self.columns.whole(np.unique(value.columns))
        if isinstance(source, Read):
            return source.rule, not source.negated
        if not isinstance(source, Token):
            raise NotRecognised("what it reads is no mask of steps")
        values = self.tokens.table(source)[:, place]
        is_true = values != 0
        if not np.array_equal(values, is_true):
            raise NotRecognised("what it reads is no mask of steps, which has 0 and 1")
        if is_true.all():
            return None, True
        for positive, skipped in ((True, ~is_true), (False, is_true)):
            if skipped.sum() == 1:
                return Rule("id", float(np.flatnonzero(skipped)[0])), positive
        raise NotRecognised("a mask skips several ids")

    def is_mask(self, value: Value) -> bool:
        try:
            self.of(value)
        except NotRecognised:
            return False
        return True

    def rule_of(self, mask: Value | None, x: Features) -> Rule | None:
        if mask is None:
            return None
        if isinstance(mask, np.ndarray | Filled):
            if bool(np.all(mask.number if isinstance(mask, Filled) else mask)):
                return None
            raise NotRecognised("a mask that is a constant")
        rule, positive = self.of(mask)
        if rule is None:
            return None
        assert isinstance(mask, Features)
        if not positive or mask.flipped != x.flipped:
            raise NotRecognised("a mask of other steps than those that it reads")
        return rule

    def equal(self, values: list[Any]) -> Features:
        """Whether each channel of a series equals a number."""
        features = [value for value in values if isinstance(value, Features)]
        constants = [numbers_of(value) for value in values if isinstance(value, np.ndarray | Filled)]
        sources = self.columns.sources(features[0].columns)
        if len(constants) != 1 or not isinstance(sources[0], Series) or np.unique(constants[0]).size != 1:
            raise NotRecognised("it compares numbers")
        x = features[0]
        width = self.columns.width(sources[0])
        equals = self.columns.of(Equals(float(constants[0].flat[0]), negated=False), width)
        return Features(x.axes, equals[x.columns.ravel() - self.columns.all_of(sources[0])[0]].reshape(x.columns.shape))

    def inverted(self, value: Features) -> Features:
        def of(source: Source) -> Numbers:
            width = self.columns.width(source)
            if isinstance(source, Read):
                return self.columns.once(("not", source), Read(source.rule, not source.negated), width)
            if isinstance(source, Equals):
                return self.columns.once(("not", source), Equals(source.value, not source.negated), width)
            raise NotRecognised("what it inverts is no mask")

        return Features(value.axes, self.columns.mapped(value.columns, of), value.flipped)

    def before(self, number: Value, count: Value, less: int) -> Features:
        """Whether the number of the step is below the length of the sequence."""
        features = [value for value in (number, count) if isinstance(value, Features)]
        if len(features) != 2 or not self.is_step_number(features[0]) or features[0].flipped:
            raise NotRecognised("it compares numbers")
        source, _ = self.columns.whole(features[1].columns)
        if not isinstance(source, Count) or source.less != less or source.rule.kind != "lengths":
            raise NotRecognised("it compares numbers that are no lengths")
        axes, arrays = aligned(features)
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        read = self.columns.once(("read", source.rule), Read(source.rule), 1)
        return Features(axes, without_axes(np.broadcast_to(read.reshape((1,) * len(shape)), shape), axes))

    def is_step_number(self, value: Features) -> bool:
        return isinstance(self.columns.sources(value.columns)[0], StepNumber)

    def kept(self, x: Features, mask: Value, otherwise: float, axes: tuple[Axis, ...], inverted: bool = False) -> Value:
        """x at the steps that a mask reads."""
        rule, positive = self.of(mask)
        assert isinstance(mask, Features)
        if rule is None:
            return x
        if positive == inverted or mask.flipped != x.flipped or not x.of_steps or axes != x.axes:
            raise NotRecognised("it leaves out the steps that the mask reads")
        flat = x.columns.ravel()
        columns = self.columns.of(Kept(flat, rule, otherwise), len(flat))
        return Features(x.axes, columns.reshape(x.columns.shape), x.flipped)
