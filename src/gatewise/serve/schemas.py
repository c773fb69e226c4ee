"""The requests and responses of the server as pydantic models: /openapi.json describes what is checked.

Numbers of series must be in the range of float32; null is a missing one. These models check the form of a request. The
endpoint checks whether its model can read the inputs.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, StringConstraints, ValidationError

from gatewise.data.row_columns import Row
from gatewise.data.schema import RowSchema
from gatewise.errors import InputError
from gatewise.explain import METHODS
from gatewise.members.clamp import Clamp, ablate
from gatewise.members.recurrent_layer import CellName, RecurrentLayer
from gatewise.storage.strict_json import parse_json

MAX_CHANGES = 32
_PARTS = ("prediction", "prefix", "prefix:all", "attribution", "units", "outputs", "offer")
_PART = f"^({'|'.join(_PARTS)}|unit:top|unit:opening|unit:[0-9]{{1,8}}|heatmap:[ifgochrzn])$"

Integer = Annotated[int, Field(ge=0, le=999_999_999)]
_FLOAT32 = 3e38
Number = Annotated[float, Field(gt=-_FLOAT32, lt=_FLOAT32)]
Name = Annotated[str, Field(max_length=200)]
Text = InstanceOf[str]  # with lone surrogates, too: the preprocessor refuses them, with their place
Series = Annotated[list[list[Number | None] | Number | None], Field(min_length=1)]
StreamInput = Annotated[Text, Field(max_length=1000)] | Series | Number | None
Arrays = Annotated[dict[Name, Any], Field(min_length=1, max_length=100)]  # the format of the model reads them
Flat = list[Number | None]
ColumnLists = dict[str, list[Number | Text | None]]
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
        self.field = field
        self.code = code
        super().__init__(message)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class PredictRequest(_Request):
    """One text, one series, or several inputs, as the model reads them."""

    text: Text | None = None
    series: Series | None = None
    """Time steps: each a list of one number per channel, or a number where there is one channel."""
    arrays: Arrays | None = None
    """Numbers in nested lists by the name of the input, of a model with several inputs."""
    inputs: list[Text | Series | Arrays] | None = None
    """Texts, series, or arrays by name."""
    columns: RowValues | list[RowValues] | None = None
    """The values of further columns by name, for a model that reads columns; with `inputs` a list of such objects."""
    outputs: bool = False
    """Also all outputs of the network by name, of a network that is a graph."""
    model: Name | None = None
    """The default is the first model."""
    id: Name | None = None
    """Returned in the response."""


class StreamRequest(_Request):
    """Words or other parts of a text, or steps of a series, and the state that they continue from."""

    inputs: Annotated[list[StreamInput], Field(min_length=1)]
    """Texts, or time steps: each a list of one number per channel, or a number where there is one channel; also lists
    of several time steps.
    """
    state: Text | None = None
    """The state in the last event of an earlier request; the default is the start of a stream."""
    network_only: bool = False
    """Predict by the LSTM alone, without the other members of an ensemble."""
    model: Name | None = None
    """The default is the first model."""


class StreamMessage(_Request):
    """A message of a WebSocket of streams. Streams are removed, then added, then read, then saved."""

    inputs: list[StreamInput] | None = None
    """The next item of each stream, as in a StreamRequest."""
    streams: list[Integer] | None = None
    """The numbers of the streams that read the inputs, from 0; the default is all."""
    add: Integer = 0
    """How many streams are added; their numbers follow those of the others."""
    remove: list[Integer] = Field(default_factory=list)  # pydantic copies any other default, for longer than it reads
    """The numbers of streams that are removed; those after them take their places."""
    save: bool = False
    """Return the state of all streams."""
    id: Name | None = None
    """Returned in the answer."""


class FirstStreamMessage(StreamMessage):
    """The first message of a WebSocket of streams."""

    count: Integer = 1
    """The number of streams."""
    state: Text | None = None
    """A state that an earlier message saved, from which `count` streams continue."""
    network_only: bool = False
    """Predict by the LSTM alone, without the other members of an ensemble."""
    model: Name | None = None
    """The default is the first model."""


class ForecastRequest(_Request):
    """A request for the next values of the series of the fit, or of `values`."""

    values: ColumnLists | None = None
    """Newer values: the columns of the table of the fit by name, one row per series and time."""
    future: ColumnLists | None = None
    """The columns that are known in advance, for the forecast steps, with the time and, for several series, the id."""
    series: Name | None = None
    """The name of one series; the default is all."""
    horizon: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """The number of values to forecast; the default is that of the fit."""
    level: Annotated[list[Annotated[float, Field(gt=0, lt=100)]], Field(min_length=1, max_length=8)] = [80.0]
    """The coverage of the intervals, in percent; numbers below 1 are shares."""
    include: Annotated[list[Literal["history", "attribution"]], Field(max_length=2)] = []
    """history: the values that the members read. attribution: what each of them contributes to the step `step`."""
    step: Annotated[int, Field(ge=1, le=10_000)] = 1
    """The step that the attribution explains, from 1."""
    model: Name | None = None
    """The default is the first forecaster."""
    id: Name | None = None
    """Returned in the response."""


class Change(_Request):
    """An intervention: a gate that is held at a value. The gate h with the value 0 ablates a unit."""

    gate: Literal["i", "f", "g", "o", "h", "r", "z", "n"]
    value: Annotated[float, Field(allow_inf_nan=False)]
    unit: Integer | Literal["all"] | None = "all"
    first: Integer | None = Field(None, alias="from")
    """The first step, from 0; `from` and `to` are given together."""
    last: Integer | None = Field(None, alias="to")
    layer: Integer | None = None

    def clamps(self, field: str, layers: Sequence[RecurrentLayer]) -> tuple[Clamp, ...]:
        """The clamps of the library. layers: of the network. Raises RequestError for fields that do not fit."""
        unit = self.unit
        if unit == "all":
            unit = None
        if (self.first is None) != (self.last is None):
            raise RequestError(f"{field}.to", "give both from and to, or neither")
        if self.gate == "h":
            if self.value != 0 or unit is None or self.first is not None:
                message = "h ablates one unit: give value 0, a unit, and no from and to"
                raise RequestError(field, message, "bad_clamp")
            cell: CellName = "LSTM"
            if layers and (self.layer is None or self.layer < len(layers)):
                cell = layers[-1 if self.layer is None else self.layer].cell
            try:
                return ablate(unit, self.layer, cell=cell)
            except InputError as error:
                raise RequestError(field, str(error), "bad_clamp") from None
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
    arrays: Arrays | None = None
    """Numbers in nested lists by the name of the input, of a model with several inputs."""
    columns: RowValues | None = None
    """The values of further columns by name, for a model that reads columns."""
    include: Annotated[list[Annotated[str, StringConstraints(pattern=_PART)]], Field(max_length=16)] = ["prediction"]
    method: Annotated[str, StringConstraints(pattern=f"^({'|'.join(METHODS)})$")] | None = None
    """The method of the attribution; the default is the model's."""
    layer: Integer | None = None
    """From 0; the default is the top layer."""
    target: Name | None = None
    """The class, label or number that is explained; the default is the predicted one."""
    against: Name | None = None
    """The class to compare with."""
    step: Integer | None = None
    """The step whose label is explained, from 0, for a tagger."""
    changes: Annotated[list[Change], Field(max_length=MAX_CHANGES)] = []
    model: Name | None = None
    """The default is the first model."""

    def values_of(self, prefix: str) -> list[str]:
        """The value X of each entry `prefix:X` of `include`."""
        return [entry.partition(":")[2] for entry in self.include if entry.startswith(f"{prefix}:")]

    def clamps(self, layers: Sequence[RecurrentLayer]) -> list[tuple[str, Clamp]]:
        """The clamps of the changes, each with the field that it comes from. layers: of the network."""
        clamps = []
        for n, change in enumerate(self.changes):
            field = f"changes[{n}]"
            clamps += [(field, clamp) for clamp in change.clamps(field, layers)]
        return clamps


class InferInput(_Request):
    """A tensor of texts, BYTES [n], or of series, FP32 [n, steps, channels]."""

    name: Name
    shape: list[Annotated[int, Field(ge=0, lt=2**31)]]
    datatype: Literal["BYTES", "FP32"]
    parameters: dict[str, Any] = {}
    data: list[Text] | list[list[Text]] | Flat | list[Flat] | list[list[Flat]] | None = None


class InferRequestedOutput(_Request):
    """A tensor that the response contains."""

    name: Name
    parameters: dict[str, Any] = {}


class InferRequest(_Request):
    """A request of the Open Inference Protocol."""

    id: Name | None = None
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=1)]
    outputs: list[InferRequestedOutput] = []
    """All outputs if the list is empty."""


class _Prediction(BaseModel):
    outputs: dict[str, Any] | None = None
    """All outputs of the network by name, as nested lists, if the request wants them."""


class Classification(_Prediction):
    """A label, which follows the model's thresholds, and the probability of each class."""

    label: str
    probabilities: dict[str, float]
    steps: int


class Labels(_Prediction):
    """The labels of an input, or of each of its steps, and the probability of each label, or one per step."""

    labels: list[str]
    probabilities: dict[str, float | list[float]]
    steps: int


class Value(_Prediction):
    """A number."""

    value: float
    steps: int


class Values(_Prediction):
    """Several numbers by name, or one per step."""

    values: dict[str, float | list[float]]
    steps: int


class PredictResponse(BaseModel):
    """One prediction per input; steps: its tokens or time steps."""

    model: str
    n: int
    predictions: list[Classification | Labels | Value | Values]
    warnings: list[str] | None = None
    """The columns whose values are outside of the training data, for a model that reads columns."""
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


class ModelMetadataResponse(BaseModel):
    """The tensors of a model, by the Open Inference Protocol."""

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
        errors = error.errors(include_url=False, include_input=False)
    # Each alternative of a field has an error. That of a number says more than that a number is no string.
    first = next(filter(_is_too_large, errors), errors[0])
    place = first["loc"]
    if place[0] in ("values", "future"):  # the next name is that of a column, which is the client's own
        place = place[:1]
    if first["type"] == "extra_forbidden":
        raise _unknown_field(model, place)
    path = path_of(place)
    if _is_too_large(first):
        raise RequestError(path, f"{path} has a number that float32 does not have: it must be between -3e38 and 3e38")
    raise RequestError(path, f"{path} {_message(first['type'], first['msg'], place)}")


def _is_too_large(error: Mapping[str, Any]) -> bool:
    """Whether an error of pydantic is that of a `Number` out of its range."""
    context = error.get("ctx", {})
    bounds = (context.get("gt"), context.get("lt"))
    return -_FLOAT32 in bounds or _FLOAT32 in bounds


def _unknown_field(model: type[BaseModel], place: tuple[int | str, ...]) -> RequestError:
    """The error of a field that a request model does not have. It names the fields that the model has: the unknown
    name is the client's own.
    """
    known = model
    if len(place) > 1:
        nested: dict[str, type[BaseModel]] = {"changes": Change, "inputs": InferInput, "outputs": InferRequestedOutput}
        known = nested.get(str(place[0]), model)
    names = ", ".join(sorted(field.alias or name for name, field in known.model_fields.items()))
    return RequestError(path_of(place[:-1]), f"the fields are {names}", "unknown_field")


def _message(kind: str, message: str, place: tuple[int | str, ...]) -> str:
    """What is wrong, after the path of the field. kind, message, place: of an error of pydantic."""
    if not kind.startswith("string_"):  # the errors of strings are about one alternative, the others about all
        for name in place:
            if name in _HINTS:
                return _HINTS[str(name)]
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind == "string_pattern_mismatch":  # "String should match pattern '^(a|b)$'": the pattern is a list of words
        words = message.partition("(")[2][:-3]
        return f"must be one of {words.replace('|', ', ')}"
    message = re.sub(r"^\w+ should", "must", message)
    if kind == "literal_error":
        message = message.replace("'", "")  # nothing that is quoted is sent back
    return message


def path_of(place: tuple[int | str, ...]) -> str:
    """A location of pydantic as a path, as in changes[0].value; `body` is all of the request. The location goes on with
    the alternatives of a union, such as "str" or "list[float]"; the path ends before them.
    """
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.isidentifier() or step in ("str", "float"):
            break
        elif path:
            path += f".{step}"
        else:
            path = step
    return path or "body"


def with_row(item: Any, row: dict[str, Any] | None, schema: RowSchema, field: str) -> Any:
    """A text or series with the columns of a model. Raises RequestError for a column that is missing or that the schema
    refuses, and for columns where the model reads none.
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
    return Row(item, values)
