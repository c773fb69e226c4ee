"""Faithfulness of an attribution method, measured: the prediction without the steps that the method ranks first.

Scores can add up exactly and still miss what the network would do. After ERASER (DeYoung et al. 2020), the steps are
ranked by how much they favour the prediction, and for q = 1, 5, 10, 20 and 50%

    comprehensiveness   p(prediction | all steps) - p(prediction | all but the first q)     higher is better
    sufficiency         p(prediction | all steps) - p(prediction | the first q alone)       lower is better

each a mean over the five shares, for the class predicted from all steps (of several labels the most probable one). For
regression, in place of p: the prediction minus the prediction for no step, towards the side on which it lies. Edited
texts are not texts that anyone wrote, and deletion favours methods that delete (leave-one-out).

Of a tagger, one step of each sequence is explained, the first whose label is not "O". The other steps must keep their
places, so steps are replaced instead of deleted, as by its leave-one-out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.explain.attribution import METHODS, method_named, methods_of
from gatewise.explain.attribution.edits import edit_of
from gatewise.explain.attribution.method import Method, attribute
from gatewise.explain.example import Example, predict_examples
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.network.batch import chunks
from gatewise.ragged import rows_at
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array, Faithfulness

_MOST_ROWS = 60
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
STEPS = 2_000_000  # the most that leave-one-out may run on a sample: some seconds of 128 units
STEPS_PER_BATCH = 65_536  # steps of edited sequences that are predicted at a time
_STEPS_PER_BATCH = 16_384  # steps of examples whose attributions are computed at a time


@dataclass(frozen=True, eq=False)
class DeletionScores:
    """One method on n sequences. comprehensiveness, sufficiency (n, 5): by sequence and share of `SHARES`."""

    comprehensiveness: Array
    sufficiency: Array

    @property
    def faithfulness(self) -> Faithfulness:
        """The two means."""
        return Faithfulness(float(self.comprehensiveness.mean()), float(self.sufficiency.mean()), len(self.sufficiency))


def choose(found: Mapping[str, DeletionScores]) -> str:
    """The default method: the first of `METHODS`, from exact and cheap to costly, that is as good as the best one.

    As good: the mean of comprehensiveness minus sufficiency, over the same sequences, is at most two standard errors of
    the difference below the best.
    """
    each = {name: found[name].comprehensiveness - found[name].sufficiency for name in METHODS if name in found}
    best = max(each, key=lambda name: float(each[name].mean()))
    for name, differences in each.items():
        deficit = (each[best] - differences).mean(axis=1)  # (n,)
        if deficit.mean() <= 2 * deficit.std() / len(deficit) ** 0.5:
            return name
    return best


def measure(ensemble: Ensemble, sequences: Sequence[EncodedSequence], method: Method) -> DeletionScores:
    """One method on sequences, none of them empty, truncated first."""
    read = [sequence[ensemble.network.rows(len(sequence))] for sequence in sequences]
    examples = predict_examples(ensemble, read)
    batches = chunks(examples, _STEPS_PER_BATCH)
    scores = [attribution.scores for batch in batches for attribution in attribute(method, batch)]
    logits = np.stack([example.marginal_logits for example in examples])  # (n, outputs)
    empty = examples[0].sequence[:0]
    value = ensemble.target.each.measured_value(logits, lambda: ensemble.logits([empty]))
    steps = np.repeat([example.step or 0 for example in examples], 2 * len(SHARES))  # that are explained
    edited = _logits(ensemble, _edited(examples, scores, value.score_sign), steps)  # (n 5 2, outputs)
    before = value.of(ensemble.target.each.values(logits))  # (n,)
    after = value.repeated(2 * len(SHARES)).of(ensemble.target.each.values(edited)).reshape(-1, len(SHARES), 2)
    drop = before[:, None, None] - after  # (n, 5, 2)
    return DeletionScores(drop[..., 0], drop[..., 1])


def _logits(ensemble: Ensemble, sequences: Iterable[EncodedSequence], steps: Array) -> Array:
    """Logits (n, outputs) of all members, of a tagger those of the marginals of `steps` (n,), in batches of bounded
    memory.
    """
    logits: list[Array] = []
    done = 0
    for batch in chunks(sequences, STEPS_PER_BATCH):
        check_cancelled()
        of_batch = ensemble.target.marginal_logits(ensemble.logits(batch))
        logits.append(rows_at(of_batch, steps[done : done + len(batch)]))
        done += len(batch)
    return np.concatenate(logits)


def measure_sample(
    ensemble: Ensemble, sequences: Sequence[EncodedSequence], most_steps: int | None = None, window: int = 0
) -> tuple[dict[str, Faithfulness], str]:
    """The scores of every method on a fixed small sample of the sequences, a smaller one for more than 128 units, and
    the name of the best method; empty without a sequence, and where each step has a number. The LSTM must have a
    weight, because the scores of the other members do not depend on the method.

    most_steps: of the network for leave-one-out; None: STEPS. window: steps of a row, which the other members all read.
    """
    network = ensemble.network
    steps = STEPS
    if most_steps is not None:
        steps = min(STEPS, most_steps)
    units = max((layer.units for layer in network.layers[-1:]), default=0)
    steps = steps * 128 // max(128, units)  # a step costs more with more units
    rows = sample([min(len(s), network.max_length or len(s)) for s in sequences], steps=steps // max(1, window))
    if not rows or not ensemble.target.is_measured:
        return {}, ""
    sampled = [sequences[row] for row in rows]
    scores = {name: measure(ensemble, sampled, method_named(name)) for name in methods_of(ensemble)}
    return {name: of_method.faithfulness for name, of_method in scores.items()}, choose(scores)


def sample(lengths: Sequence[int], steps: int = STEPS) -> list[int]:
    """The rows of a random sample, always the same: at most 60, at least one, and few enough that leave-one-out, which
    is quadratic in the length, runs at most `steps` steps. Empty sequences are skipped.
    """
    rows: list[int] = []
    used = 0
    for row in np.random.default_rng(0).permutation(len(lengths)).tolist():
        if len(rows) == _MOST_ROWS:
            break
        cost = lengths[row] ** 2
        if lengths[row] and (not rows or used + cost <= steps):
            rows.append(row)
            used += cost
    return rows


def _edited(examples: Sequence[Example], scores: Sequence[Array], signs: Array) -> Iterator[EncodedSequence]:
    """For each example and share: the sequence without the steps ranked first, and without all others."""
    edit = edit_of(examples[0].ensemble)
    for example, score, sign in zip(examples, scores, signs.tolist(), strict=True):
        ranked = np.argsort(-sign * score, kind="stable")
        for share in SHARES:
            first = np.zeros(len(ranked), dtype=bool)
            first[ranked[: max(1, round(share * len(ranked)))]] = True
            for away in (first, ~first):
                yield edit.without(example, away)
