"""A trained model with its preprocessor, classes and card; loading, saving, compression, and pretrained models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.model.card import ModelMetadata as ModelMetadata
    from gatewise.model.examples import with_examples as with_examples
    from gatewise.model.export import ExportReport as ExportReport
    from gatewise.model.loading import load as load
    from gatewise.model.model import Model as Model
    from gatewise.model.preprocessor import TextPreprocessor as TextPreprocessor
    from gatewise.model.pretrained import PretrainedLM as PretrainedLM, load_pretrained as load_pretrained
    from gatewise.model.reports import evaluation_report as evaluation_report, units_report as units_report
    from gatewise.model.reports import with_evaluation as with_evaluation, with_units as with_units
    from gatewise.model.series_preprocessor import SeriesPreprocessor as SeriesPreprocessor
    from gatewise.model.stream import Stream as Stream
    from gatewise.model.streams import StreamPrediction as StreamPrediction
    from gatewise.model.streams import StreamPredictions as StreamPredictions, Streams as Streams

_HOME = {
    "card": "ModelMetadata",
    "examples": "with_examples",
    "export": "ExportReport",
    "loading": "load",
    "model": "Model",
    "preprocessor": "TextPreprocessor",
    "pretrained": "PretrainedLM load_pretrained",
    "reports": "evaluation_report units_report with_evaluation with_units",
    "series_preprocessor": "SeriesPreprocessor",
    "stream": "Stream",
    "streams": "StreamPrediction StreamPredictions Streams",
}
__all__ = sorted(" ".join(_HOME.values()).split())


def __getattr__(name: str) -> Any:
    """Imported on first use: a prediction does without most of them."""
    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(f"gatewise.model.{module}"), name)
    raise AttributeError(f"module 'gatewise.model' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
