"""Recipes: the hyperparameters of a training run, by name.

`fast` is the default for texts and `series` for series. With a pretrained language model the default is `finetune`, or
`few-shot` below 2,000 labelled rows. `best` is the most accurate and the slowest. `tutorial` reproduces the Keras
tutorial of docs/tutorial.md. `recipe("fast", units=128)` changes a field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from gatewise.errors import InputError, did_you_mean, quote
from gatewise.kernels import fastest_precision
from gatewise.members.ngrams import MAX_ORDER
from gatewise.network.architecture import Architecture
from gatewise.training.fields import Count, Field, Number, Positive, Probability, Range, checked, fields_of
from gatewise.training.pretrained import Pretrained
from gatewise.types import Gate, Precision, Task

DROPOUTS = ("word", "embedding", "recurrent", "layer", "output")
TEXT_FIELDS = (
    *(
        "encoding",
        "vocab_size",
        "tokenization",
        "padding",
        "embedding_dim",
        "embedding_lr_scale",
        "dropout_word",
        "dropout_embedding",
    ),
    *("student_epochs", "student_weight", "teacher", "max_pseudo_labels", "lsa_components"),
    *("ngram_order", "ngram_min_df", "ngram_scaling", "ngram_l2", "max_ngrams"),
)
SERIES_FIELDS = ("folds", "max_time_steps", "convolution_features")
NGRAM_FIELDS = ("ngram_min_df", "ngram_scaling", "ngram_l2", "max_ngrams")
STUDENT_FIELDS = ("student_weight", "teacher", "max_pseudo_labels")
FEW_SHOT_ROWS = 2_000  # labelled rows below which `few-shot` is the default with a pretrained model


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training run. Raises InputError for a value out of range."""

    name: str
    """Name of the recipe, written to the model card."""

    # Input
    encoding: Literal["keras", "tokens"]
    """Tokenisation: "keras" as `keras.datasets.imdb` encodes reviews, "tokens" for words and punctuation marks."""
    vocab_size: Count
    """Number of token ids, special tokens included. Keras: `num_words`. A pretrained model's replaces it."""
    tokenization: Literal["auto", "words", "subwords"] = "words"
    """What a token is, with encoding "tokens": a word, a piece of a word ("subwords", `gatewise.text.subwords`), or the
    one of both with the lower held-out loss of the n-gram model ("auto", `gatewise.training.tokenization`)."""
    max_length: Number = 0
    """Longest sequence in steps; longer ones are truncated. 0: no limit."""
    truncation: Literal["front", "middle"] = "front"
    """Which steps a longer sequence loses: the first ones, or those after its first third of `max_length`."""
    padding: Literal["none", "pre"] = "none"
    """No pad steps ("none"), or pad steps up to `max_length` in front of a sequence, unmasked as in Keras ("pre")."""

    # Network
    embedding_dim: Count = 64
    """Dimension D of the token embeddings. A pretrained model's replaces it."""
    units: Count = 64
    """Hidden units H of each LSTM. A pretrained model's replaces it."""
    layers: Count = 1
    """Number of stacked LSTM layers. PyTorch: `num_layers`."""
    bidirectional: bool = False
    """Whether each layer has a second LSTM that reads from right to left (Schuster & Paliwal 1997)."""
    pooling: Literal["last", "mean", "max", "mean+max"] = "last"
    """What the dense layer sees: the last state, or mean and/or maximum over all steps."""
    gate: Gate = "sigmoid"
    """Gate activation: "sigmoid", or "binary" for gates of exactly 0 or 1 (docs/cell.md)."""

    # Regularisation
    dropout_word: Probability = 0.0
    """Probability of dropping a whole word's embedding (Gal & Ghahramani 2016)."""
    dropout_embedding: Probability = 0.0
    """Dropout probability of each number of the embeddings."""
    dropout_recurrent: Probability = 0.0
    """Dropout probability of the units of h_{t-1}, one mask per sequence. Keras: `recurrent_dropout`."""
    dropout_layer: Probability = 0.0
    """Dropout probability between LSTM layers. PyTorch: `nn.LSTM(dropout=...)`."""
    dropout_output: Probability = 0.0
    """Dropout probability before the dense layer."""
    adversarial: Probability = 0.0
    """Size of the adversarial perturbation relative to the input norm (Miyato et al. 2017). 0: none."""
    direction_loss: Probability = 0.0
    """Share of the loss that each direction of a bidirectional network has by itself; the rest is that of both."""

    # Optimisation
    epochs: Count = 5
    """Passes over the training rows."""
    min_steps: Number = 0
    """Fewest optimizer steps of a run: small data sets get more than `epochs` epochs. 0: no minimum."""
    batch_size: Count = 64
    """Sequences per step."""
    min_batch_tokens: Number = 0
    """Fewest tokens of a batch on average: short texts get a larger `batch_size` as long as an epoch keeps 30 steps. 0:
    no minimum, as with a `batch_size` that is set."""
    bucket_by_length: bool = True
    """Whether a batch holds sequences of similar length. Keras: `bucket_by_sequence_length`."""
    learning_rate: Positive = 0.001
    """Adam's learning rate; the peak with schedule "one-cycle"."""
    schedule: Literal["constant", "one-cycle"] = "constant"
    """Learning rate schedule. "one-cycle": up over the first fifth of the steps, then a cosine to 0 (Smith 2018)."""
    beta_1: Probability = 0.9
    """Adam's decay rate of the first moment (Kingma & Ba 2015)."""
    beta_2: Probability = 0.999
    """Adam's decay rate of the second moment."""
    epsilon: Annotated[float, Range(1e-37)] = 1e-7
    """Adam's constant for numerical stability, used as in Keras ("epsilon hat" of Kingma & Ba 2015). Smaller numbers
    are 0 in float32."""
    embedding_lr_scale: Annotated[float, Range(0)] = 1.0
    """Factor on the learning rate of the embeddings (discriminative fine-tuning, Howard & Ruder 2018)."""
    grad_clip: Annotated[float, Range(0)] = 0.0
    """Largest norm of the gradient of all parameters. PyTorch: `clip_grad_norm_`. 0: no clipping."""
    precision: Precision | Literal["auto"] = "float32"
    """Precision of the kernel's matrix products. "auto": the fastest one on this processor."""

    # Validation
    validation_fraction: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.2
    """Fraction of the training data held out to choose the epoch. scikit-learn: `validation_fraction`."""
    validation_by: Literal["row", "group", "time"] = "group"
    """How it is held out: "row" at random, "group" with all rows of a group (a film) on one side, "time" the last."""
    patience: Number = 0
    """Epochs without a lower validation loss after which training stops. Keras: `EarlyStopping`. 0: never."""

    folds: Number = 0
    """Folds of a cross-validation in place of the validation part, where `max_time_steps` allows it; series only. 0:
    none, as with a `validation_fraction` that is set."""
    max_time_steps: Number = 0
    """Time steps (rows x length x epochs) that the networks of a run on series may train on. Above it there are no
    `folds`, then fewer epochs, unless `epochs` is set. 0: no limit."""

    # Pretrained model and unlabelled texts
    probe_l2: Annotated[float, Range(0)] = 0.0
    """L2 penalty of the linear probe that initialises the dense layer (`training.linear_probe`). 0: random start."""
    student_epochs: Number = 0
    """Epochs of a student on labels and the teacher's soft labels of unlabelled texts. 0: no student."""
    student_weight: Positive = 1.0
    """Weight of a soft-labelled row in the loss; a labelled row has 1."""
    teacher: Literal["network", "stacking"] = "network"
    """What predicts the soft labels: a network and its n-grams, or stacking (`training.stacking`). Without LSA or
    n-grams it is a network."""
    max_pseudo_labels: Number = 0
    """Most unlabelled texts that get a soft label, evenly spaced. 0: all."""
    lsa_components: Number = 0
    """Components of the LSA over all texts (`training.lsa`). scikit-learn: `TruncatedSVD(n_components)`. 0: no LSA."""

    # N-gram model and calibration
    ngram_order: Annotated[int, Range(0, MAX_ORDER)] = 0
    """Largest n of the linear n-gram model ensembled with the network; texts only. 0: no n-gram model."""
    ngram_min_df: Count = 2
    """Texts that must contain an n-gram. scikit-learn: `CountVectorizer(min_df)`."""
    ngram_scaling: Literal["nb", "tfidf", "auto"] = "nb"
    """Scaling of the n-grams (`training.ngrams`): log-count ratios with logistic regression, TF-IDF with a support
    vector machine, or for classes the better of both on held-out rows."""
    ngram_l2: Positive = 4.0
    """L2 penalty of the n-gram weights. scikit-learn: `LogisticRegression(C=1 / ngram_l2)`."""
    max_ngrams: Number = 0
    """Most n-grams kept after the fit. scikit-learn: `CountVectorizer(max_features)`. 0: all."""
    convolution_features: Number = 0
    """Features of the linear model on dilated convolutions (MiniRocket) ensembled with the network; series only. 0: no
    such model."""
    calibrate: bool = False
    """Whether a network without n-grams is calibrated on the validation part too (Platt 1999)."""

    def __post_init__(self) -> None:
        try:
            for name, value in checked(self).items():
                object.__setattr__(self, name, value)
        except InputError as error:
            raise InputError(f"recipe: {error}") from None
        if self.encoding == "keras" and self.tokenization == "subwords":
            raise InputError("recipe: encoding 'keras' has words alone, not tokenization 'subwords'")
        for name in ("dropout_recurrent", "adversarial"):
            if getattr(self, name) and self.padding == "pre":
                raise InputError(f"recipe: {name} differs by sequence, and padding 'pre' shares pad steps: use 'none'")
        if self.folds == 1:
            raise InputError("recipe: a cross-validation needs at least 2 folds, and 0 is none, not 1")

    def architecture(self, inputs: Literal["tokens", "channels"], vocab_size: int, outputs: int) -> Architecture:
        """The network for `vocab_size` tokens or channels with so many outputs (see `Target.outputs`)."""
        tokens = inputs == "tokens"
        return Architecture(
            inputs=inputs,
            vocab_size=vocab_size,
            embedding_dim=self.embedding_dim if tokens else 0,
            units=self.units,
            layers=self.layers,
            bidirectional=self.bidirectional,
            pooling=self.pooling,
            outputs=outputs,
            max_length=self.max_length,
            truncation=self.truncation,
            padding=self.padding if tokens else "none",
            gate=self.gate,
        )

    @property
    def uses_lsa(self) -> bool:
        """Whether unlabelled texts add an LSA classifier to the n-gram model."""
        return self.lsa_components > 0 and self.ngram_order > 0

    @property
    def uses_unlabelled(self) -> bool:
        """Whether the recipe learns from unlabelled texts."""
        return self.student_epochs > 0 or self.uses_lsa

    @property
    def kernel_precision(self) -> Precision:
        """The precision of the kernel's products on this machine."""
        return fastest_precision() if self.precision == "auto" else self.precision

    @property
    def dropout(self) -> dict[str, float]:
        """Dropout probability by place, as `gatewise.network.trainable.Network` takes it."""
        return {place: getattr(self, f"dropout_{place}") for place in DROPOUTS}


_FINETUNE = Recipe(
    name="finetune",
    encoding="tokens",
    vocab_size=40_000,
    embedding_dim=128,
    units=256,
    bidirectional=True,
    pooling="mean+max",
    max_length=400,
    truncation="middle",
    dropout_embedding=0.2,
    dropout_output=0.4,
    direction_loss=0.5,
    epochs=2,
    min_steps=300,
    batch_size=32,
    learning_rate=0.0015,
    schedule="one-cycle",
    beta_2=0.99,
    embedding_lr_scale=0.5,
    grad_clip=1.0,
    precision="auto",
    validation_fraction=0.1,
    student_epochs=1,
    lsa_components=200,
    ngram_order=3,
    calibrate=True,
)

RECIPES: dict[str, Recipe] = {
    "finetune": _FINETUNE,
    # A student of an adversarially trained teacher is no better than the teacher: docs/log/accuracy.md.
    # Adversarial training gains nothing from `direction_loss`: same page.
    "best": replace(_FINETUNE, name="best", direction_loss=0.0, epochs=3, adversarial=0.01, student_epochs=0),
    "few-shot": replace(
        _FINETUNE,
        name="few-shot",
        direction_loss=0.0,
        dropout_word=0.1,
        epochs=1,
        min_steps=0,
        probe_l2=500.0,
        teacher="stacking",
        max_pseudo_labels=10_000,
        lsa_components=80,
    ),
    "tutorial": Recipe(
        name="tutorial",
        encoding="keras",
        vocab_size=10_000,
        embedding_dim=32,
        units=100,
        max_length=1000,
        padding="pre",
        bucket_by_length=False,
        validation_by="row",  # as the tutorial does; docs/tutorial.md says what that hides
    ),
    "fast": Recipe(
        name="fast",
        encoding="tokens",
        tokenization="auto",
        vocab_size=30_000,
        bidirectional=True,
        pooling="mean+max",
        max_length=400,
        truncation="middle",
        dropout_word=0.2,
        dropout_embedding=0.5,
        dropout_output=0.5,
        epochs=4,
        batch_size=32,
        min_batch_tokens=2_000,
        learning_rate=0.004,
        schedule="one-cycle",
        grad_clip=1.0,
        validation_fraction=0.1,
        ngram_order=3,
        ngram_scaling="auto",
        calibrate=True,
    ),
    "series": Recipe(
        name="series",
        encoding="tokens",
        vocab_size=1,
        units=32,
        bidirectional=True,
        pooling="mean+max",
        dropout_output=0.3,
        epochs=20,
        min_steps=300,
        batch_size=16,
        learning_rate=0.005,
        schedule="one-cycle",
        grad_clip=1.0,
        folds=5,
        max_time_steps=6_000_000,
        convolution_features=9_996,
        calibrate=True,
    ),
}


def default_recipe(rows: int, pretrained: bool, kind: Literal["text", "series"] = "text") -> str:
    """The default recipe for `rows` labelled rows of this kind, with or without a pretrained language model."""
    if kind == "series":
        return "series"
    if not pretrained:
        return "fast"
    return "few-shot" if rows < FEW_SHOT_ROWS else "finetune"


def recipe(name: str, /, **changes: Any) -> Recipe:
    """The recipe `name` with fields changed. Raises InputError for an unknown name or field, with the nearest one, and
    for a value of a wrong type or out of range.
    """
    if str(name) not in RECIPES:
        nearest = did_you_mean(str(name), RECIPES)
        raise InputError(f"no recipe is called {quote(name)}; there are {', '.join(RECIPES)}{nearest}")
    return changed(RECIPES[name], **changes)


def changed(recipe: Recipe, /, **changes: Any) -> Recipe:
    """The recipe with fields changed. Raises InputError as `recipe` does."""
    for name in changes:
        setting(name)
    if recipe.folds and "epochs" in changes:  # the epochs of series follow from the amount of data, unless they are set
        changes = {"min_steps": 0, **changes}
    if recipe.folds and "validation_fraction" in changes:  # a fraction that is asked for is held out
        changes = {"folds": 0, **changes}
    if "batch_size" in changes:
        changes = {"min_batch_tokens": 0, **changes}  # a batch size that is asked for is taken
    return replace(recipe, **changes)


def setting(name: str, others: Iterable[str] = ()) -> Field:
    """The field `name` of a recipe. Raises InputError for an unknown one, with the nearest of the fields and `others`.
    A recipe's name is no setting.
    """
    known = {key: field for key, field in fields_of(Recipe).items() if key != "name"}
    if name not in known:
        nearest = did_you_mean(name, [*known, *others]) or f"; it has {', '.join(known)}"
        raise InputError(f"a recipe has no {quote(name)}{nearest}")
    return known[name]


def check_settings(
    recipe: Recipe,
    kind: Literal["text", "series"] | None,
    task: Task | None = None,
    *,
    pretrained: Pretrained | None = None,
    unlabelled: bool = False,
    validation: bool = False,
) -> None:
    """Raise InputError for a changed field that a run would not read. kind, task: of the data, None before it is read;
    unlabelled, validation: whether there are unlabelled texts, and validation data of their own.
    """
    if kind == "text" and recipe.name == "series":
        raise InputError("recipe series is for series, and these are texts")
    if task not in (None, "classification") and recipe.ngram_scaling == "tfidf" and recipe.ngram_order:
        raise InputError(f"ngram_scaling 'tfidf' is for classification, not for {task}")
    classifier = pretrained is not None and pretrained.model is not None and pretrained.model.task == "classification"
    mapped, no_ngrams = classifier and task == "classification", recipe.ngram_order == 0
    added = mapped and pretrained is not None and pretrained.model is not None and pretrained.model.ngrams is not None
    tfidf, stacking = recipe.ngram_scaling == "tfidf", recipe.teacher == "stacking"
    probe, lsa, scaling = ("probe_l2",), ("lsa_components",), ("ngram_scaling",)
    cuts = "cuts the validation part from the data, and validation data are given"
    unread: list[tuple[bool, tuple[str, ...], str]] = [
        (kind == "series", TEXT_FIELDS, "is for texts, and these are series"),
        (kind == "text", SERIES_FIELDS, "is for series, and these are texts"),
        (pretrained is None, probe, "is for the start from a pretrained model, and there is none"),
        (mapped, probe, "is for language models, and the pretrained one is a classifier"),
        (recipe.encoding == "keras", ("tokenization",), "is for encoding 'tokens', and this one is 'keras'"),
        (recipe.max_length == 0, ("truncation",), "is for longer sequences than max_length, which is 0: no limit"),
        (recipe.layers == 1 and pretrained is None, ("dropout_layer",), "is between layers, and there is one"),
        (not recipe.bidirectional, ("direction_loss",), "is for two directions, and the network is not bidirectional"),
        (no_ngrams, NGRAM_FIELDS, "is for the n-gram model, and ngram_order is 0"),
        (not unlabelled, ("student_epochs", *lsa, *STUDENT_FIELDS), "is for unlabelled texts, and there are none"),
        (recipe.student_epochs == 0, STUDENT_FIELDS, "is for a student, and student_epochs is 0"),
        (no_ngrams, lsa, "needs an n-gram model, and ngram_order is 0"),
        (stacking and not recipe.uses_lsa, ("teacher",), "'stacking' needs n-grams and lsa_components"),
        (tfidf and unlabelled, scaling, "'tfidf' is for training without unlabelled texts"),
        (tfidf and added, scaling, "'tfidf' cannot be added to the n-gram model of the pretrained classifier"),
        (validation, ("validation_fraction", "folds"), cuts),
        (validation, ("validation_by",), f"(split) {cuts}"),
    ]
    named = RECIPES.get(recipe.name, recipe)
    for nothing_reads, fields, why in unread:
        for name in fields if nothing_reads else ():
            value = getattr(recipe, name)
            if value and value != getattr(named, name):  # what is off needs no reader
                raise InputError(f"{name} {why}")


def check_groups(groups: bool, validation: bool, kind: str, recipe: Recipe) -> None:
    """Raise InputError where groups are given that nothing would read: they keep rows of the validation part together,
    and in series those of the cross-validation of the convolutions.
    """
    if not groups:
        return
    if validation and kind == "text":
        raise InputError("groups cut the validation part from the data, and validation data are given")
    if recipe.validation_by == "row" or (recipe.validation_by == "time" and kind == "text"):
        raise InputError(f"groups are for a split by group, and this one is by {recipe.validation_by}")


def match_pretrained(recipe: Recipe, pretrained: Pretrained) -> Recipe:
    """The recipe with the fields of the pretrained network. Raises InputError where it asks for a network that cannot
    start from the model.
    """
    named = RECIPES.get(recipe.name)
    for name, there in pretrained.fixed.items():
        wanted = getattr(recipe, name)
        # A recipe of another name has to say a vocab_size, which is that of no model.
        unchanged = name == "vocab_size" if named is None else wanted == getattr(named, name)
        if wanted != there and not (unchanged and name in pretrained.free):
            raise InputError(
                f"the pretrained model has {name} {there}; it cannot start a network of recipe {recipe.name} with "
                f"{name} {wanted}"
            )
    return replace(recipe, **pretrained.fixed)
