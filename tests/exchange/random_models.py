"""Models with random parameters, of every shape that a model can have."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np

from gatewise.members.member import Member
from gatewise.members.ngrams import BITS, Ngrams
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.architecture import Hidden, Layer
from gatewise.target import target_of
from gatewise.text import TokenEncoding
from gatewise.types import Activation
from tests.members.ngram_keys import random_pieces, random_spelled
from tests.members.test_convolutions import some
from tests.small_models import small_model

WORDS = [f"word{n}" for n in range(28)]
TOKENS = TokenEncoding.fit([" ".join(WORDS)], min_count=1)  # 30 entries, padding and unknown included
CHANNELS = 2


ACTIVATIONS = get_args(Activation)
OTHER_SHAPES: dict[str, dict[str, Any]] = {
    "sizes": {"layers": (Layer(7), Layer(4, "both"), Layer(5)), "classes": 3},
    "backward": {"layers": (Layer(6, "backward"),), "inputs": "channels"},
    "backward below": {"layers": (Layer(6, "backward"), Layer(4)), "pooling": "mean", "max_length": 8},
    "step": {"layers": (Layer(5, "both"),), "pooling": "step", "classes": 3},
    "sum": {"layers": (Layer(5, "both", "sum"),), "pooling": "mean+max"},
    "mean": {"layers": (Layer(5, "both", "mean"),), "inputs": "channels", "pooling": "last"},
    "product": {"layers": (Layer(5, "both", "product"), Layer(6)), "pooling": "max"},
    **{
        f"hidden {', '.join(names)}": {"layers": (Layer(7),), "hidden": tuple(Hidden(9, name, 0.3) for name in names)}
        for names in (ACTIVATIONS[n : n + 2] for n in range(0, len(ACTIVATIONS), 2))
    },
    "hidden, pads": {"layers": (Layer(7),), "hidden": (Hidden(4, "relu"),), "padding": "pre", "max_length": 20},
}

CASES: dict[str, dict[str, Any]] = {
    "last": {},
    "two layers, both directions": {"layers": 2, "bidirectional": True, "classes": 3},
    "mean": {"pooling": "mean", "layers": 3},
    "max": {"pooling": "max", "bidirectional": True, "task": "multilabel", "classes": 3},
    "mean+max": {"pooling": "mean+max", "bidirectional": True, "classes": 4, "thresholds": (0.1, 0.2, 0.3, 0.4)},
    "pads in front": {"padding": "pre", "max_length": 20, "layers": 2},
    "pads and middle": {"padding": "pre", "max_length": 20, "truncation": "middle", "linear": "ngrams"},
    "truncated": {"max_length": 8, "bidirectional": True, "linear": "ngrams"},
    "truncated in the middle": {"max_length": 8, "truncation": "middle", "pooling": "max", "linear": "scaled ngrams"},
    "n-grams": {"linear": "ngrams", "classes": 3},
    "scaled n-grams": {"linear": "scaled ngrams", "task": "regression"},
    "character n-grams": {"linear": "character ngrams", "pooling": "max", "max_length": 8},
    "scaled character n-grams": {"linear": "scaled character ngrams", "classes": 3},
    "series": {"inputs": "channels", "classes": 3, "pooling": "mean+max", "bidirectional": True},
    "series with a mask": {"inputs": "channels", "mask": True, "max_length": 12, "truncation": "middle"},
    "series and convolutions": {"inputs": "channels", "mask": True, "linear": "convolutions", "classes": 3},
    "series in windows of one step": {"inputs": "channels", "mask": True, "window": 1, "linear": "convolutions"},
    "series in windows": {"inputs": "channels", "mask": True, "window": 9, "linear": "convolutions", "classes": 3},
    "regression of series in windows": {"inputs": "channels", "task": "regression", "window": 4, "max_length": 5},
    **OTHER_SHAPES,
    "regression of series": {"inputs": "channels", "task": "regression", "max_length": 12, "linear": "convolutions"},
}


def random_model(
    seed: int = 0,
    linear: str = "",
    classes: int = 2,
    mask: bool = False,
    names: tuple[str, ...] = (),
    window: int = 0,
    **options: Any,
) -> Model:
    """A model of texts, or with inputs="channels" of series. linear: "ngrams", "scaled ngrams", "character ngrams"
    or "convolutions", with weights and a shift. mask: of missing values. window: of `SeriesPreprocessor`. options: of
    `Architecture`, and of `Model`: task, thresholds.
    """
    rng, task = np.random.default_rng(seed), options.pop("task", "classification")
    given = {name: options.pop(name) for name in ("thresholds", "label_type") if name in options}
    names = names or tuple(f"class {n}" for n in range(classes))
    outputs = target_of(names, task).outputs
    series = options.pop("inputs", "tokens") == "channels"
    reads = random_preprocessor(rng, mask, window) if series else TOKENS
    members: list[tuple[Member, float]] = []
    if "character" in linear:
        pieces = random_pieces(rng, TOKENS.vocab_size)
        members.append((random_spelled(rng, pieces, outputs, "scaled" in linear), 0.75))
    elif "ngrams" in linear:
        members.append((random_ngrams(rng, outputs, "scaled" in linear), 0.75))
    if linear == "convolutions":
        members.append((replace(some(CHANNELS + mask, outputs), window=max(1, window)), 0.75))
    model = small_model(reads, names, seed, task=task, given=given | {"members": members}, **options)
    if not members:
        return model
    changes: dict[str, Any] = {"weights": (0.5, 0.75), "shift": np.linspace(-0.2, 0.3, outputs)}
    return replace(model, ensemble=replace(model.ensemble, **changes))


def random_preprocessor(rng: np.random.Generator, mask: bool, window: int) -> SeriesPreprocessor:
    """Of series with other levels and scales, in windows of so many steps; 0 for none."""
    plain = SeriesPreprocessor((3.0, -20.0), (0.5, 8.0), mask)
    if not window:
        return plain
    octaves = window.bit_length() if window > 1 else 0
    features = (CHANNELS + mask) * octaves
    level, spread = rng.normal(0, 1, features), rng.uniform(0.5, 2, features)
    return replace(plain, steps=(3, 25), window=window, level=tuple(level.tolist()), spread=tuple(spread.tolist()))


def random_ngrams(rng: np.random.Generator, outputs: int, scaled: bool) -> Ngrams:
    """N-grams of 1 to 3 of the tokens, of which random texts have several, and some more than once."""
    tokens = rng.integers(1, TOKENS.vocab_size + 1, (400, 3))
    tokens[:20, :2] = tokens[20:200, :1] = 0
    keys = np.unique((tokens << BITS * np.array([2, 1, 0])).sum(axis=1))
    scale = rng.uniform(0, 2, len(keys)).astype(np.float32) if scaled else None
    return Ngrams(3, keys, rng.normal(0, 1, (len(keys), outputs)).astype(np.float32), scale)


def random_inputs(model: Model, count: int = 9, seed: int = 1, longest: int = 30) -> list[Any]:
    """Texts, or series (length, C) of which every second one has missing values."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, count)
    if isinstance(model.preprocessor, TextPreprocessor):
        return [" ".join(rng.choice([*WORDS, "other"], length)) for length in lengths]
    found = []
    for n, length in enumerate(lengths):
        series = (rng.normal(0, 1, (length, CHANNELS)) * [0.5, 8] + [3, -20]).astype(np.float32)
        if n % 2:
            series[rng.random(series.shape) < 0.4] = np.nan
        found.append(series)
    return found
