"""`FeaturePooling`: columns of the steps as columns of the sequence: one step, the mean, the maximum, the sum.

Each rule says why a batch with padded steps has the same as the steps that are read alone.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from gatewise.network.features import (
    Act,
    Affine,
    Columns,
    Kept,
    Lstm,
    Merge,
    NotRecognised,
    Numbers,
    Pooled,
    Pooling,
    Rule,
    Source,
    Total,
)


class FeaturePooling:
    """columns: of all values."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def row(self, columns: Numbers, time: Literal["first", "last"], rule: Rule | None) -> Numbers:
        """The columns at one step: the first or last one of all steps, or of those that the rule of lengths reads. A
        function of one step is that function of what it reads at the step.
        """

        def of(source: Source) -> Numbers:
            key = ("row", source, time, rule)
            width = self.columns.width(source)
            if isinstance(source, Affine):
                return self.columns.once(key, Affine(at(source.columns), source.weight, source.bias), width)
            if isinstance(source, Act):
                return self.columns.once(key, Act(at(source.columns), source.kind, source.negative_slope), width)
            if isinstance(source, Merge):
                merge = Merge(source.how, at(source.left), at(source.right))
                return self.columns.once(key, merge, width)
            if isinstance(source, Lstm):
                return self._row_of_lstm(source, time, rule)
            raise NotRecognised("it takes one step of what is no output of an LSTM layer")

        def at(read: Numbers) -> Numbers:
            return self.row(read, time, rule)

        return self.columns.mapped(columns, of)

    def _row_of_lstm(self, lstm: Lstm, time: str, rule: Rule | None) -> Numbers:
        """h at one step is the final state where the direction reads this step last, or reads none after it.

        Without a mask the last step in time is the last one that the forward direction reads. With a mask whose
        outputs are repeated ("previous"), the output at that end is that of the last step that was read. At the length
        of a sequence: also without a mask, because a forward direction has read no later step by then.
        """
        reads_last = "last" if lstm.direction == "forward" else "first"
        if rule is not None:
            if lstm.rule not in (None, rule) or (lstm.rule is None and lstm.direction == "backward"):
                raise NotRecognised("it takes the last step of a layer that reads the steps after it")
            return self.pooled("final" if lstm.direction == "forward" else "step", lstm, rule)
        if time == reads_last and (lstm.rule is None or lstm.masked == "previous"):
            return self.pooled("final", lstm, lstm.rule)
        if time == "last" and lstm.rule is None:
            return self.pooled("step", lstm, None)
        raise NotRecognised(
            "it takes the first step of a layer" if lstm.rule is None else "it takes a step that a mask may skip"
        )

    def pooled(self, kind: Pooling, source: Lstm | Merge, rule: Rule | None) -> Numbers:
        pooled = Pooled(kind, source, rule)
        return self.columns.once((kind, source, rule), pooled, self.columns.width(source))

    def mean(self, columns: Numbers, rule: Rule | None) -> Numbers:
        """The mean over the steps that the rule reads, of all without a rule. That of an affine function is the
        function of the mean.
        """

        def of(source: Source) -> Numbers:
            if isinstance(source, Affine):
                mean = Affine(self.mean(source.columns, rule), source.weight, source.bias)
                return self.columns.once(("mean", source, rule), mean, self.columns.width(source))
            self._check_pooled(source, rule)
            assert isinstance(source, (Lstm, Merge))
            return self.pooled("mean", source, rule)

        return self.columns.mapped(columns, of)

    def _maximum(self, columns: Numbers, rule: Rule | None) -> Numbers:
        def of(source: Source) -> Numbers:
            self._check_pooled(source, rule)
            assert isinstance(source, (Lstm, Merge))
            return self.pooled("max", source, rule)

        return self.columns.mapped(columns, of)

    def _check_pooled(self, source: Source, rule: Rule | None) -> None:
        """Raise NotRecognised unless a pooling over these steps is that over the steps that the layer reads.

        Without a rule of its own, a layer that reads forward has at the steps within the lengths what it has without
        the others, which come after them. A mask of ids or numbers may stand anywhere.
        """
        for lstm in self._lstms(source):
            causal = lstm.rule is None and lstm.direction == "forward"
            if lstm.rule != rule and not (causal and rule is not None and rule.kind == "lengths"):
                raise NotRecognised("it pools over other steps than the LSTM layer reads")

    def _lstms(self, source: Source) -> list[Lstm]:
        """The LSTM of a source, or the two that it merges."""
        if isinstance(source, Lstm):
            return [source]
        if isinstance(source, Merge):
            read = self.columns.sources(np.concatenate([source.left, source.right]))
            lstms = [one for one in read if isinstance(one, Lstm)]
            if len(lstms) == len(read):
                return lstms
        raise NotRecognised("it pools what is no output of an LSTM layer")

    def maximum(self, source: Source) -> Numbers:
        """Numbers at the steps that are not read change no maximum where they are below every output of the layer: h
        is above -1, the sum of two above -2.
        """
        if not isinstance(source, Kept):
            return self._maximum(self.columns.all_of(source), None)
        least = -2.0 if any(isinstance(one, Merge) for one in self.columns.sources(source.columns)) else -1.0
        if source.otherwise > least:
            raise NotRecognised(f"the maximum includes {source.otherwise:g} at the steps that the mask skips")
        return self._maximum(source.columns, source.rule)

    def total(self, source: Source) -> Numbers:
        """Zeros at the steps that are not read change no sum."""
        width = self.columns.width(source)
        if isinstance(source, Kept) and source.otherwise == 0:
            return self.columns.once(("total", source), Total(source.columns, source.rule), width)
        rules = {lstm.rule for lstm in self._lstms(source) if lstm.masked == "zero"}
        if len(rules) == 1 and None not in rules and all(one.masked == "zero" for one in self._lstms(source)):
            [rule] = rules
            assert rule is not None
            return self.columns.once(("total", source), Total(self.columns.all_of(source), rule), width)
        raise NotRecognised("a sum over the steps that is not divided by their number")
