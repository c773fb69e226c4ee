"""Recipes: the hyperparameters of a training run, by name, in one group per part of the model and of the run.

`fast` is the default for texts, `many-classes` for those of many classes with few rows each, `series` for time series,
`tagging` for a label per step. With a pretrained model the
default is `finetune`; below 2,000 labelled rows, of a classifier below 5,000, it is `frozen`; with unlabelled texts or
changed fields `few-shot` below 2,000. `best` is the most accurate and the slowest. `lstm` is `fast`, for series
`series`, with the LSTM as the only member. `tutorial` reproduces the Keras tutorial of docs/tutorial.md.
`recipe("fast", units=128, ngrams__order=2)` changes two fields.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from gatewise.errors import InputError, did_you_mean, quote
from gatewise.kernels import for_training
from gatewise.network.architecture import Architecture
from gatewise.training.fields import (
    Count,
    NotNegative,
    Number,
    Positive,
    Probability,
    check_values,
    fields_of,
    named_values,
    with_values,
)
from gatewise.training.recipe_fields import (
    KernelPrecision,
    NgramScaling,
    Order,
    Padding,
    Pooling,
    RecipeFields,
    Schedule,
    Share,
    Split,
    Teacher,
    Tokenization,
    Truncation,
)
from gatewise.types import Gate

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel

MANY_CLASSES = 20
SMALL_CLASS = 20  # rows per class on average, below which classes are small
RARE_WORDS = 150  # rows per class on average, below which words of one row tell classes apart


@dataclass(frozen=True)
class TextRecipe:
    """Tokens of texts."""

    vocab_size: Count = 30_000
    """Number of token ids, special tokens included. Keras: `num_words`. A pretrained model's replaces it."""
    tokenization: Tokenization = "words"
    """What a token is: a word or a punctuation mark ("words"), the same with an unknown word as the known one that it
    misspells ("respelled", `gatewise.text.respelling`), a piece of a word ("subwords", `gatewise.text.subwords`),
    words or subwords by the held-out loss of the n-gram model ("auto", `gatewise.training.ngram_comparison`), a word as
    in `keras.datasets.imdb` ("keras"), or what stands between spaces ("spaces", `gatewise.text.spaces`), which has the
    labels of a tagger."""


@dataclass(frozen=True)
class SeriesRecipe:
    """Steps of series."""

    windows: Number = 0
    """Most rows of the longest training series: the LSTM reads a longer one in windows of several steps (see
    `gatewise.model.series_preprocessor`), and the time. 0: every step by itself, without the time."""
    noise: NotNegative = 0.0
    """Standard deviation of the normal noise that training adds to what the LSTM reads of a series (Bishop 1995)."""


@dataclass(frozen=True)
class LSTMRecipe:
    """The LSTM network."""

    embedding_dim: Count = 64
    """Dimension D of the token embeddings. A pretrained model's replaces it."""
    units: Count = 64
    """Hidden units H of each LSTM. A pretrained model's replaces it."""
    layers: Count = 1
    """Number of stacked LSTM layers. PyTorch: `num_layers`."""
    bidirectional: bool = False
    """Whether each layer has a second LSTM that reads from right to left (Schuster & Paliwal 1997)."""
    pooling: Pooling = "last"
    """What the dense layer sees: the last state, mean and/or maximum over all steps, or each step ("none": tagging)."""
    crf: bool = False
    """Whether the labels of the steps depend on one another: a conditional random field above the dense layer
    (Lafferty et al. 2001; Lample et al. 2016)."""
    gate: Gate = "sigmoid"
    """Gate activation: "sigmoid", or "binary" for gates of exactly 0 or 1 (docs/cell.md)."""
    max_length: Number = 0
    """Longest sequence in steps; longer ones are truncated. 0: no limit."""
    truncation: Truncation = "front"
    """Which steps a longer sequence loses: the first ones, or those after its first third of `max_length`."""
    padding: Padding = "none"
    """No pad steps ("none"), or pad steps up to `max_length` in front of a text, unmasked as in Keras ("pre"): the
    plain network of the tutorial, which is not calibrated and whose batches are not sorted by length."""
    dropout_word: Probability = 0.0
    """Probability of dropping a whole word's embedding (Gal & Ghahramani 2016)."""
    dropout_embedding: Probability = 0.0
    """Dropout probability of each number of the embeddings."""
    dropout_output: Probability = 0.0
    """Dropout probability before the dense layer."""
    probe_l2: NotNegative = 0.0
    """L2 penalty of the linear probe on a pretrained model that initialises the dense layer (`training.members.lstm`).
    0: random start."""


@dataclass(frozen=True)
class OptimisationRecipe:
    """The training of the LSTM network."""

    epochs: Number = 5
    """Passes over the training rows. 0: the layers of the pretrained model stay, and a dense layer is fitted to their
    states (`training.members.lstm`)."""
    min_steps: Number = 0
    """Fewest optimizer steps of a run: small data sets get more than `epochs` epochs. 0: no minimum."""
    batch_size: Count = 64
    """Sequences per step."""
    min_batch_tokens: Number = 0
    """Fewest tokens of a batch on average: short texts get a larger `batch_size` as long as an epoch keeps 30 steps. 0:
    no minimum, as with a `batch_size` that is set."""
    learning_rate: Positive = 0.001
    """Adam's learning rate; the peak with schedule "one-cycle"."""
    schedule: Schedule = "constant"
    """Learning rate schedule. "one-cycle": up over the first fifth of the steps, then a cosine to 0 (Smith 2018)."""
    beta_2: Probability = 0.999
    """Adam's decay rate of the second moment (Kingma & Ba 2015); that of the first is 0.9."""
    embedding_lr_scale: NotNegative = 1.0
    """Factor on the learning rate of the embeddings (discriminative fine-tuning, Howard & Ruder 2018)."""
    grad_clip: NotNegative = 0.0
    """Largest norm of the gradient of all parameters. PyTorch: `clip_grad_norm_`. 0: no clipping."""
    precision: KernelPrecision = "float32"
    """Precision of the kernel's matrix products. "auto": the fastest one on this processor."""
    adversarial: Probability = 0.0
    """Size of the adversarial perturbation relative to the input norm (Miyato et al. 2017). 0: none."""
    direction_loss: Probability = 0.0
    """Share of the loss that each direction of a bidirectional network has by itself; the rest is that of both."""


@dataclass(frozen=True)
class ValidationRecipe:
    """The validation set, which chooses the epoch, the weights of the members and the thresholds."""

    fraction: Share = 0.2
    """Fraction of the training data held out as validation set. scikit-learn: `validation_fraction`."""
    split: Split = "group"
    """How it is held out: "row" at random, "group" with all rows of a group (a film) on one side, "time" the last."""
    patience: Number = 0
    """Epochs without a lower validation loss after which training stops. Keras: `EarlyStopping`. 0: never."""
    folds: Number = 0
    """Folds of a cross-validation in place of the validation set, for series of few time steps
    (`gatewise.training.network_data.MAX_TIME_STEPS`). 0: none, as with a `fraction` that is set."""


@dataclass(frozen=True)
class UnlabelledRecipe:
    """What is learnt from unlabelled texts."""

    student_epochs: Number = 0
    """Epochs of a student on labels and the teacher's soft labels of unlabelled texts. 0: no student."""
    teacher: Teacher = "network"
    """What predicts the soft labels: a network and its n-grams, of all unlabelled texts, or stacking, of at most 10,000
    (`training.unlabelled`). Without LSA or n-grams it is a network."""
    lsa_components: Number = 0
    """Components of the LSA over all texts (`training.unlabelled`). scikit-learn: `TruncatedSVD(n_components)`. 0: no
    LSA."""


@dataclass(frozen=True)
class NgramsRecipe:
    """The linear n-gram model of texts."""

    order: Order = 0
    """Largest n of the linear n-gram model ensembled with the network. 0: no n-gram model."""
    scaling: NgramScaling = "nb"
    """Scaling of the n-grams (`training.ngram_features`): log-count ratios with logistic regression, TF-IDF with a
    support vector machine, or for classes the better of both on held-out rows."""
    l2: Positive = 4.0
    """L2 penalty of the n-gram weights. scikit-learn: `LogisticRegression(C=1 / l2)`."""


@dataclass(frozen=True)
class ConvolutionsRecipe:
    """The linear model on convolutions of series."""

    features: Number = 0
    """Features of the linear model on dilated convolutions (MiniRocket) ensembled with the network. 0: no such
    model."""


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training run. Raises InputError for a value out of range."""

    name: str
    """Name of the recipe, written to the model card."""
    text: TextRecipe = TextRecipe()
    series: SeriesRecipe = SeriesRecipe()
    lstm: LSTMRecipe = LSTMRecipe()
    optimisation: OptimisationRecipe = OptimisationRecipe()
    validation: ValidationRecipe = ValidationRecipe()
    unlabelled: UnlabelledRecipe = UnlabelledRecipe()
    ngrams: NgramsRecipe = NgramsRecipe()
    convolutions: ConvolutionsRecipe = ConvolutionsRecipe()

    def __post_init__(self) -> None:
        check_values(self, "recipe")
        if self.optimisation.adversarial and self.lstm.padding == "pre":
            raise InputError("recipe: adversarial differs by sequence, and padding 'pre' shares pad steps: use 'none'")
        if self.validation.folds == 1:
            raise InputError("recipe: a cross-validation needs at least 2 folds, and 0 is none, not 1")

    def architecture(
        self, inputs: Literal["tokens", "channels"], vocab_size: int, outputs: int, word_features: int = 0
    ) -> Architecture:
        """The network for `vocab_size` tokens or channels with so many outputs (see `Target.outputs`). word_features:
        the number of the ids of the features of words, 0 without.
        """
        lstm = self.lstm
        # Channels are read as they are: without an embedding and without pads.
        embedding_dim = 0
        padding: Padding = "none"
        feature_dim = 0
        if inputs == "tokens":
            embedding_dim = lstm.embedding_dim
            feature_dim = lstm.embedding_dim if word_features else 0
            padding = lstm.padding
        return Architecture.stacked(
            inputs,
            vocab_size,
            embedding_dim=embedding_dim,
            outputs=outputs,
            units=lstm.units,
            layers=lstm.layers,
            bidirectional=lstm.bidirectional,
            pooling=lstm.pooling,
            gate=lstm.gate,
            padding=padding,
            max_length=lstm.max_length,
            truncation=lstm.truncation,
            word_features=word_features,
            feature_dim=feature_dim,
            crf=lstm.crf,
        )

    @property
    def frozen(self) -> bool:
        """Whether the layers of a pretrained model stay as they are."""
        return not self.optimisation.epochs and not self.optimisation.min_steps

    @property
    def uses_lsa(self) -> bool:
        """Whether unlabelled texts add an LSA classifier to the n-gram model."""
        return self.unlabelled.lsa_components > 0 and self.ngrams.order > 0

    @property
    def uses_unlabelled(self) -> bool:
        """Whether the recipe learns from unlabelled texts."""
        return self.unlabelled.student_epochs > 0 or self.uses_lsa

    def kernel(self) -> Kernel:
        """The kernel of the precision. Raises KernelUnavailable."""
        return for_training(self.optimisation.precision)


def _by_path(content: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a TOML table and of its groups, by field or `group.field`."""
    values = dict[str, Any]()
    for key, value in content.items():
        if isinstance(value, dict):
            values |= {f"{key}.{field}": of_field for field, of_field in value.items()}
        else:
            values[key] = value
    return values


def _built_in() -> dict[str, Recipe]:
    """The recipes of recipes.toml. A section has the form of `read_config`; `recipe` names an earlier one, which it
    changes.
    """
    recipes: dict[str, Recipe] = {}
    file = Path(__file__).with_name("recipes.toml")
    for name, section in tomllib.loads(file.read_text(encoding="utf-8")).items():
        base = recipes.get(section.pop("recipe", ""), Recipe(name))
        recipes[name] = replace(with_values(base, _by_path(section)), name=name)
    return recipes


RECIPES = _built_in()
"""The built-in recipes by name."""


def recipe(name: str | Recipe, /, **changes: Unpack[RecipeFields]) -> Recipe:
    """The recipe of this name, or the recipe itself, with fields changed: `group__field=value`, or `field=value` where
    one group alone has the field. Raises InputError for an unknown name or field, with the nearest one, and for a value
    of a wrong type or out of range.
    """
    if not isinstance(name, Recipe):
        if str(name) not in RECIPES:
            nearest = did_you_mean(str(name), RECIPES)
            raise InputError(f"no recipe is called {quote(name)}; there are {', '.join(RECIPES)}{nearest}")
        name = RECIPES[str(name)]
    values = named_values(Recipe, changes)
    # A changed field is taken as it is: fields that would adapt it to the data are off, unless they are set too.
    if name.validation.folds and "optimisation.epochs" in values:
        values.setdefault("optimisation.min_steps", 0)
    if "validation.fraction" in values:
        values.setdefault("validation.folds", 0)
    if "optimisation.batch_size" in values:
        values.setdefault("optimisation.min_batch_tokens", 0)
    return with_values(name, values)


def read_config(path: str | Path, options: Iterable[str] = ("recipe",)) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of `options` in a TOML file, and the fields of the recipe that it changes, by `group.field`:

    recipe = "fast"
    units = 128

    [optimisation]
    epochs = 8

    Raises InputError naming the file and the key for a file that cannot be read, an unknown key, and a value of a wrong
    type or out of range.
    """
    file = quote(path, 200)
    try:
        content = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: not valid TOML: {error}") from None
    # A table is a group of the recipe, also where an option has its name.
    names = [key for key in options if key in content and not isinstance(content[key], dict)]
    values_of_options = {key: content.pop(key) for key in names}
    try:
        if "recipe" in values_of_options:
            recipe(values_of_options["recipe"])
        changes = named_values(Recipe, _by_path(content))
        fields = fields_of(Recipe)
        return values_of_options, {path: fields[path].checked(value) for path, value in changes.items()}
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def has_small_classes(classes: int, rows: int, least: int = SMALL_CLASS) -> bool:
    """Whether there are many classes with fewer than `least` rows on average. What a network, or a ratio of counts,
    learns of the smallest is chance, and a word of a single row is a good part of what is known of them.
    """
    return classes >= MANY_CLASSES and rows < least * classes
