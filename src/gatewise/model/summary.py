"""A model in a few lines and as an HTML table, for the interpreter and for notebooks."""

from collections.abc import Sequence

from gatewise.errors import printable
from gatewise.markup import titled_table
from gatewise.members.ensemble import Ensemble
from gatewise.model.card import ModelMetadata, metadata_rows

_SHOWN = 4  # classes that are listed by name
_TRAINING = ("created", "recipe", "data", "pretrained model", "training set", "validation set", "epoch")


def model_text(ensemble: Ensemble, metadata: ModelMetadata) -> str:
    """Six lines: task and classes, layers, weights of the members, training, the last evaluation, fingerprint; of a
    network that is a graph also its inputs, outputs and form.

    >>> import gatewise as gw
    >>> gw.load()  # doctest: +ELLIPSIS
    Model(text classification: negative, positive)
      layers: Embedding, Bidirectional LSTM (512), ...; ... parameters
      weights: LSTM ..., n-grams ...
      training: recipe best, ...
      evaluation: ...: accuracy ...
      fingerprint: ...
    """
    target = ensemble.target
    layers = ensemble.summary()
    names = [name for name, _, _ in layers if name != "Dense" and not name.startswith("Pooling")]
    training = [f"recipe {metadata.recipe}" * bool(metadata.recipe), metadata.data, metadata.created]
    evaluations = metadata.evaluations
    last = f"{evaluations[-1].data}: {evaluations[-1].figures}, n {evaluations[-1].n:,}" if evaluations else ""
    lines = {
        "layers": f"{', '.join(names)}; {_count(layers):,} parameters",
        **dict(ensemble.network.form_rows()),
        "weights": str(ensemble),
        "training": ", ".join(part for part in training if part) or "not recorded",
        "evaluation": last or "not recorded",
        "fingerprint": ensemble.fingerprint(),
    }
    head = f"Model({_task(ensemble)}: {_listed(target.classes)})"
    return "\n".join([head, *(f"  {name}: {printable(value, 160)}" for name, value in lines.items())])


def model_html(ensemble: Ensemble, metadata: ModelMetadata) -> str:
    """A fragment for a notebook: task, classes, layers, training, evaluations and fingerprint. It loads nothing and
    runs nothing; every name is escaped.
    """
    target = ensemble.target
    layers = ensemble.summary()
    rows = [(target.each.classes_noun, _listed(target.classes, 50))]
    rows += [(name, f"{shape}, {count:,} parameters") for name, shape, count in layers]
    rows += ensemble.network.form_rows()
    rows.append(("weights", str(ensemble)))
    rows += [(name, value) for name, value in metadata_rows(metadata) if name in _TRAINING]
    for one in metadata.evaluations:
        rows.append((one.data, f"{one.figures}, n {one.n:,}"))
    rows.append(("fingerprint", ensemble.fingerprint()))
    title = f"gatewise model: {_task(ensemble)}, {_count(layers):,} parameters"
    return titled_table(title, rows)


def layer_lines(layers: Sequence[tuple[str, str, int]]) -> list[str]:
    """The layers with output shape and parameter count, and the total, as the lines of a table."""
    rows = [("layer", "output shape", "parameters"), *((name, shape, f"{count:,}") for name, shape, count in layers)]
    rows.append(("total", "", f"{_count(layers):,}"))
    name, shape, count = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [f"{row[0]:{name}}  {row[1]:{shape}}  {row[2]:>{count}}" for row in rows]


def _task(ensemble: Ensemble) -> str:
    return f"{ensemble.network.nouns.one} {ensemble.target.description}"


def _count(layers: Sequence[tuple[str, str, int]]) -> int:
    return sum(count for _, _, count in layers)


def _listed(classes: Sequence[str], most: int = _SHOWN) -> str:
    shown = ", ".join(printable(name, 30) for name in classes[:most])
    return shown if len(classes) <= most else f"{shown} and {len(classes) - most:,} more"
