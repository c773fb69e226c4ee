"""Leave one out: the prediction without each step."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.explain.attribution.baselines import baselines_of
from gatewise.explain.attribution.edits import edit_of
from gatewise.explain.attribution.method import Attribution, Method
from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.members.network import Network
from gatewise.types import Array


class LeaveOneOut(Method):
    """score_t = target score - target score of the sequence without step t, padded and truncated again (erasure, Li,
    Monroe & Jurafsky 2016). Base value: the target score of the empty sequence. The scores need not add up; the
    residual is the interaction of the steps. Channels of series: each number set to 0, the training data's mean.

    The prediction of a step of a tagger goes with the step: there a word becomes the unknown one (a pad, where the
    vocabulary has none), and a step of a series 0 in every channel. Base value: that of all steps at once.
    """

    name = "leave-one-out"
    rule = "left-out"

    def note(self, ensemble: Ensemble) -> str:
        return (
            f"The fall of the {ensemble.target.each.score_noun} when this {ensemble.token_noun} alone is "
            f"{edit_of(ensemble).verb(ensemble)} and the rest is predicted again; the scores need not add up, and they "
            "describe single edits, not a cause."
        )

    def base_value_note(self, ensemble: Ensemble) -> str:
        return edit_of(ensemble).empty_text(ensemble)

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        net = examples[0].network
        if examples[0].step is not None:
            return [_of_step(net, example) for example in examples]
        edit = edit_of(examples[0].ensemble)
        [empty_logits] = net.logits([net.part_of(edit.empty(examples[0]))])
        # The sequences of all examples are one run, in batches: a batch of one short text would be slow.
        shortened = (net.part_of(edit.without(example, step)) for example in examples for step in range(len(example)))
        ends = np.cumsum([len(example) for example in examples])
        logits_without = np.split(net.logits(shortened), ends[:-1])  # of each example (T, outputs)
        with_channels = channels and baselines_of(net).by_channel
        attributions = []
        for example, logits in zip(examples, logits_without, strict=True):
            score = example.lstm_score
            scores = np.asarray(score(example.lstm_logits) - score(logits))
            base_value = float(score(empty_logits))
            by_channel = _by_channel(net, example) if with_channels else None
            attributions.append(Attribution(scores, base_value, by_channel))
        return attributions


def _of_step(net: Network, example: Example) -> Attribution:
    """The fall of the score of one step of a tagger when each step is replaced. Base value: the score when all are."""
    edit = edit_of(example.ensemble)
    steps = len(example.read)
    every = slice(None)
    replaced = (net.part_of(edit.without(example, step)) for step in (*range(steps), every))
    logits = net.logits(replaced).reshape(steps + 1, steps, -1)  # (T + 1 sequences, T steps, outputs)
    scores = example.lstm_score(logits[:, example.step])
    return Attribution(np.asarray(example.lstm_score(example.lstm_logits) - scores[:-1]), float(scores[-1]))


def _by_channel(net: Network, example: Example) -> Array:
    """(T, C): the fall of the target score when one number is set to 0."""
    score = example.lstm_score
    scores = score(net.logits(_without_each_number(net, example)))  # (T C,)
    fall = score(example.lstm_logits) - scores
    return np.asarray(fall.reshape(len(example.rows), -1))


def _without_each_number(net: Network, example: Example) -> Iterator[Any]:
    """The series with one number set to 0, for each channel of each step that the LSTM reads."""
    for row in example.rows:
        for channel in range(net.channels):
            steps = example.sequence.steps.copy()
            steps[row, channel] = 0
            yield net.part_of(replace(example.sequence, steps=steps))
