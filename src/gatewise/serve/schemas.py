"""The requests and responses of the server as pydantic models: /openapi.json describes what is checked.

Numbers of series are those of float32; null is a missing one. The models know nothing of the served models: what a
model reads is checked by its endpoint.
"""

import re
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, StringConstraints, ValidationError

from gatewise.data.schema import RowSchema
from gatewise.errors import InputError
from gatewise.explain.attribution import METHODS
from gatewise.members.clamp import Clamp, ablate
from gatewise.row import with_columns
from gatewise.storage.strict_json import parse_json

MAX_CHANGES = 32
_PARTS = ("prediction", "prefix", "prefix:all", "attribution", "units")
_PART = f"^({'|'.join(_PARTS)}|unit:top|unit:opening|unit:[0-9]{{1,8}}|heatmap:[ifgoch])$"

Integer = Annotated[int, Field(ge=0, le=999_999_999)]
Number = Annotated[float, Field(gt=-3e38, lt=3e38)]
Name = Annotated[str, Field(max_length=200)]
Text = InstanceOf[str]  # with lone surrogates, too: the preprocessor refuses them, with their place
Series = Annotated[list[list[Number | None] | Number | None], Field(min_length=1)]
Flat = list[Number | None]
Table = dict[str, list[Number | Text | None]]
Whole = Annotated[int, Field(gt=-(2**63), lt=2**64)]  # a float would lose digits of an id
RowValues = dict[str, Whole | Number | Text | bool | None]
_MESSAGES = {
    "is_instance_of": "must be a string",
    "list_type": "must be a list",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_unicode": "must not have a lone surrogate",
}
_HINTS = {  # of fields whose alternatives have an error each
    "series": "must be a list of time steps, each a list of one number per channel; null is a missing one",
    "columns": "must be values by name: numbers, texts, true, false or null; of `inputs` a list of such objects",
    "values": "must be columns by name, each a list of numbers, texts or null",
    "future": "must be columns by name, each a list of numbers, texts or null",
    "data": "must be strings, or numbers in the range of FP32, null where one is missing; flat, or nested as the shape",
}

Model = TypeVar("Model", bound=BaseModel)


class RequestError(InputError):
    """An invalid request. field: the path of the error, as in changes[0].value; `body` is all of the request. code: one
    word for a program. message: one line for a person, without anything from the request.
    """

    def __init__(self, field: str, message: str, code: str = "bad_field") -> None:
        self.field, self.code = field, code
        super().__init__(message)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class PredictRequest(_Request):
    """One text, one series, or several inputs, as the model reads them."""

    text: Text | None = None
    series: Series | None = None
    """Time steps, each a list of one number per channel, or of one channel a number."""
    inputs: list[Text | Series] | None = None
    """Texts or series."""
    columns: RowValues | list[RowValues] | None = None
    """Of a model that reads numeric and categorical columns too: their values by name, of `inputs` a list of them."""
    model: Name | None = None
    """The default is the first model."""
    id: Name | None = None
    """Returned in the response."""


class StreamRequest(_Request):
    """Words or other parts of a text, or steps of a series, and the state that they continue from."""

    inputs: Annotated[list[Annotated[Text, Field(max_length=1000)] | list[Number] | Number], Field(min_length=1)]
    """Texts, or time steps: each a list of one number per channel, or of one channel a number."""
    state: Text | None = None
    """Of the last event of an earlier request; the default is the start of a stream."""
    network_only: bool = False
    """Of an ensemble, its LSTM alone."""
    model: Name | None = None
    """The default is the first model."""


class ForecastRequest(_Request):
    """What a forecaster shall forecast: the next values of the series that it was fitted on, or of `values`."""

    values: Table | None = None
    """Newer values: the columns of the table of the fit by name, one row per series and time."""
    future: Table | None = None
    """The columns that are known in advance, with the time, and the id of several series, for the forecast steps."""
    series: Name | None = None
    """The name of one series; the default is all."""
    horizon: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Values to forecast; the default is that of the fit."""
    level: Annotated[list[Annotated[float, Field(gt=0, lt=100)]], Field(min_length=1, max_length=8)] = [80.0]
    """Of the intervals, in percent; numbers below 1 are shares."""
    include: Annotated[list[Literal["history", "attribution"]], Field(max_length=2)] = []
    """The values that the members read; how much each of them contributes to the forecast of `step`."""
    step: Annotated[int, Field(ge=1, le=10_000)] = 1
    model: Name | None = None
    """The default is the first forecaster."""
    id: Name | None = None
    """Returned in the response."""


class Change(_Request):
    """An intervention: a gate that is held at a value. The gate h with the value 0 ablates a unit."""

    gate: Literal["i", "f", "g", "o", "h"]
    value: Annotated[float, Field(allow_inf_nan=False)]
    unit: Integer | Literal["all"] | None = "all"
    first: Integer | None = Field(None, alias="from")
    """The first step, from 0; `from` and `to` are given together."""
    last: Integer | None = Field(None, alias="to")
    layer: Integer | None = None

    def clamps(self, field: str) -> tuple[Clamp, ...]:
        """The clamps of the library. Raises RequestError for fields that do not fit together."""
        unit = None if self.unit == "all" else self.unit
        if (self.first is None) != (self.last is None):
            raise RequestError(f"{field}.to", "give both from and to, or neither")
        if self.gate == "h":
            if self.value != 0 or unit is None or self.first is not None:
                message = "h ablates one unit: give value 0, a unit, and no from and to"
                raise RequestError(field, message, "bad_clamp")
            return ablate(unit, self.layer)
        steps = None
        if self.first is not None and self.last is not None:
            if self.last < self.first:
                raise RequestError(f"{field}.to", "must not be less than from")
            steps = range(self.first, self.last + 1)
        return (Clamp(self.gate, self.value, unit, steps, self.layer),)


class ExplainRequest(_Request):
    """One text or series, and the parts of its explanation."""

    text: Text | None = None
    series: Series | None = None
    columns: RowValues | None = None
    """Of a model that reads numeric and categorical columns too: their values by name."""
    include: Annotated[list[Annotated[str, StringConstraints(pattern=_PART)]], Field(max_length=16)] = ["prediction"]
    method: Annotated[str, StringConstraints(pattern=f"^({'|'.join(METHODS)})$")] | None = None
    """The method of the attribution; the default is the model's."""
    layer: Integer | None = None
    """From 0; the default is the top layer."""
    target: Name | None = None
    """A class, label or number of the model; the default is the prediction's."""
    against: Name | None = None
    """The class to compare with."""
    step: Integer | None = None
    """Of a tagger, the step whose label is explained, from 0."""
    changes: Annotated[list[Change], Field(max_length=MAX_CHANGES)] = []
    model: Name | None = None
    """The default is the first model."""

    def values_of(self, prefix: str) -> list[str]:
        """X of the included parts `prefix:X`."""
        return [part.partition(":")[2] for part in self.include if part.startswith(f"{prefix}:")]

    @property
    def clamps(self) -> list[tuple[str, Clamp]]:
        """The clamps of the changes, each with the field that it comes from."""
        fields = [(f"changes[{n}]", change) for n, change in enumerate(self.changes)]
        return [(field, clamp) for field, change in fields for clamp in change.clamps(field)]


class InferInput(_Request):
    """A tensor of texts, BYTES [n], or of series, FP32 [n, steps, channels]."""

    name: Name
    shape: list[Annotated[int, Field(ge=0, lt=2**31)]]
    datatype: Literal["BYTES", "FP32"]
    parameters: dict[str, Any] = {}
    data: list[Text] | list[list[Text]] | Flat | list[Flat] | list[list[Flat]] | None = None


class InferRequestedOutput(_Request):
    """An output that the response shall have."""

    name: Name
    parameters: dict[str, Any] = {}


class InferRequest(_Request):
    """A request of the Open Inference Protocol."""

    id: Name | None = None
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=1)]
    outputs: list[InferRequestedOutput] = []
    """All outputs if the list is empty."""


class Classification(BaseModel):
    """A label, which follows the model's thresholds, and the probability of each class."""

    label: str
    probabilities: dict[str, float]
    steps: int


class Labels(BaseModel):
    """The labels of an input, or of each of its steps, and the probability of each label, or one per step."""

    labels: list[str]
    probabilities: dict[str, float | list[float]]
    steps: int


class Value(BaseModel):
    """A number."""

    value: float
    steps: int


class Values(BaseModel):
    """Several numbers by name, or one per step."""

    values: dict[str, float | list[float]]
    steps: int


class PredictResponse(BaseModel):
    """One prediction per input; steps: its tokens or time steps."""

    model: str
    n: int
    predictions: list[Classification | Labels | Value | Values]
    warnings: list[str] | None = None
    """Of a model that reads columns: those with rows outside of the training data."""
    id: str | None = None


class PageData(BaseModel):
    """An object as the page draws it; docs/page.md describes its fields."""

    model_config = ConfigDict(extra="allow")


class ForecastResponse(BaseModel):
    """The forecasts by series: columns by name, the time, forecast, and lo-80 and hi-80 for a level of 80. history: the
    columns of the table that the members read. attribution: forecast is about base + the sum of the contributions, one
    per value of the history, by column.
    """

    model: str
    horizon: int
    series: dict[str, dict[str, list[float | str]]]
    history: dict[str, dict[str, list[float | str]]] | None = None
    attribution: dict[str, PageData] | None = None
    id: str | None = None


class TensorMetadata(BaseModel):
    """Name, datatype and shape of a tensor; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class InferOutput(TensorMetadata):
    """A tensor of the response."""

    data: list[str] | list[bool] | list[float]


class InferResponse(BaseModel):
    """A response of the Open Inference Protocol."""

    model_name: str
    model_version: str
    outputs: list[InferOutput]
    id: str | None = None


class ModelMetadata(BaseModel):
    """The tensors of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ErrorDetail(BaseModel):
    """What is wrong. field: a path in the request, a parameter or a header; null where no part of it is to blame."""

    code: str
    field: str | None
    message: str


class ErrorResponse(BaseModel):
    """An error."""

    error: ErrorDetail


class InferErrorResponse(BaseModel):
    """An error below /v2: the field and the message."""

    error: str


def parse(body: bytes) -> dict[str, Any]:
    """The object in a request's body. Raises RequestError for anything but an object in strict JSON.

    Lone surrogates pass: the preprocessor refuses them with the number of the text and the position in it.
    """
    bad = partial(RequestError, "body", code="bad_json")
    # The server limits a body by --max-body before it reads it.
    value = parse_json(body, "body", error=bad, echo=False, surrogates=True, max_bytes=len(body))
    if not isinstance(value, dict):
        raise bad("body: must be a JSON object")
    return value


def validated(model: type[Model], request: object) -> Model:
    """The request as `model`. Raises RequestError for the first field that is not valid."""
    try:
        return model.model_validate(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place, kind = first["loc"], first["type"]
    if place[0] in ("values", "future"):  # the names of columns are the client's own
        place = place[:1]
    if kind == "extra_forbidden":  # the name is the client's own
        nested: dict[str, type[BaseModel]] = {"changes": Change, "inputs": InferInput, "outputs": InferRequestedOutput}
        known = nested.get(str(place[0]), model) if len(place) > 1 else model
        names = ", ".join(sorted(one.alias or name for name, one in known.model_fields.items()))
        raise RequestError(path_of(place[:-1]), f"the fields are {names}", "unknown_field")
    message = _MESSAGES.get(kind, re.sub(r"^\w+ should", "must", first["msg"]))
    if kind == "string_pattern_mismatch":  # the pattern is a list of words
        message = f"must be one of {first['msg'].partition('(')[2][:-3].replace('|', ', ')}"
    if kind == "literal_error":
        message = message.replace("'", "")  # what is quoted is not sent back
    if not kind.startswith("string_"):  # of a name
        message = next((_HINTS[str(part)] for part in place if part in _HINTS), message)
    raise RequestError(path_of(place), f"{path_of(place)} {message}")


def path_of(place: tuple[int | str, ...]) -> str:
    """A location of pydantic as a path, as in changes[0].value, before the alternatives of a union; `body` is all."""
    path = ""
    for part in place:
        if isinstance(part, str) and (not part.isidentifier() or part in ("str", "float")):
            break
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"


def with_row(item: Any, row: dict[str, Any] | None, schema: RowSchema, field: str) -> Any:
    """A text or series with the columns of a model. Raises RequestError for one that is missing or that the schema
    refuses, and for columns that no model reads.
    """
    if not schema and row is None:
        return item
    if not schema:
        raise RequestError(field, "the model reads no columns: leave them out")
    values: dict[str, float | str] = {}
    for column in schema.columns:
        if row is None or column.name not in row:
            raise RequestError(f"{field}.{column.name}", f"is missing: the model reads the columns {schema} too")
        try:
            values[column.name] = column.read(row[column.name])
        except InputError as error:
            message = str(error).partition(", not '")[0]  # without the value, which is the client's
            raise RequestError(f"{field}.{column.name}", message) from None
    return with_columns(item, values)
