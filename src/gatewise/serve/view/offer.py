"""The clamp that the page offers: the step at which it changes the prediction most."""

from gatewise.explain import Example, serialize
from gatewise.explain.serialize import Json
from gatewise.members.clamp import Clamp

DEFAULT_CHANGE: Json = {"gate": "i", "unit": "all", "value": 0}
"""The clamp that the page offers first: nothing of one word is written. At the best word it changes the prediction more
than other gates (docs/page.md).
"""
_MAX_STEPS = 60
_MAX_PRODUCTS = 2e10  # multiplications of all runs: about half a second of one core


def most_steps_of_offer(products_per_step: float) -> int:
    """The length up to which each step of an example is tried: one run of the network per step."""
    return min(_MAX_STEPS, int((_MAX_PRODUCTS / products_per_step) ** 0.5))


def offer_of(example: Example, calibrated: bool) -> Json:
    """The clamp at each step of the example in turn: the one that changes the probability of the target most, or the
    score where there is none, as {"gate", "unit", "value", "from", "to", "prediction": after it}.
    example: without clamps; calibrated: whether its probabilities are.
    """
    before = _shown(example)
    changed = [_with_clamp(example, step) for step in range(len(example))]
    step = max(range(len(changed)), key=lambda n: abs(_shown(changed[n]) - before))
    return {
        **DEFAULT_CHANGE,
        "from": step,
        "to": step,
        "prediction": serialize.prediction_json(changed[step], calibrated),
    }


def _with_clamp(example: Example, step: int) -> Example:
    clamp = Clamp(DEFAULT_CHANGE["gate"], float(DEFAULT_CHANGE["value"]), steps=range(step, step + 1))
    changed = Example(example.ensemble.with_lstm(clamps=(clamp,)), example.sequence, example.names, item=example.item)
    if example.step is not None:
        changed = changed.at_step(example.step)
    return changed.with_score(example.score)


def _shown(example: Example) -> float:
    """The number that the page shows: the probability of the target, or the score."""
    if example.probabilities is None:
        return float(example.target_score)
    return float(example.probabilities[example.score.target])
