"""Preprocessors: from the inputs of a user to the arrays of the network, with names for the steps.

A model has one: `TextPreprocessor` with an encoding of `gatewise.text`, or `SeriesPreprocessor`
(`gatewise.model.series_preprocessor`). They have the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, Union, cast

import numpy as np

from gatewise.data.frames import described, is_frame
from gatewise.data.row_columns import split_rows
from gatewise.data.schema import NO_ROW_COLUMNS, RowSchema, schema_from
from gatewise.errors import InputError, ModelFileError, counted
from gatewise.members.encoded_batch import EncodedBatch
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import Inputs
from gatewise.model.encoded_item import EncodedItem
from gatewise.ragged import Ragged
from gatewise.storage.fields import fields_from
from gatewise.target import join_words_of_rows
from gatewise.text import Encoded, Encoding, encoding_from
from gatewise.types import Array, Lengths

if TYPE_CHECKING:
    from gatewise.model.arrays_preprocessor import ArraysPreprocessor
    from gatewise.model.input_format import InputFormat
    from gatewise.model.series_preprocessor import SeriesPreprocessor
    from gatewise.model.step_rule import StepRule
    from gatewise.text.index import IndexEncoding

Preprocessor: TypeAlias = Union["TextPreprocessor", "SeriesPreprocessor", "ArraysPreprocessor"]


@dataclass(frozen=True)
class TextPreprocessor:
    """Texts to token ids by an encoding. steps: those of the sequences, where not all of the text. columns: those of a
    row that its sequence carries.
    """

    encoding: Encoding
    steps: StepRule | None = None
    columns: RowSchema = NO_ROW_COLUMNS
    channels: ClassVar[int] = 0
    window: ClassVar[int] = 0

    @property
    def inputs(self) -> Inputs:
        """What it makes: token ids."""
        encoding = self.encoding
        return Inputs("tokens", encoding.vocab_size, columns=self.columns, word_features=encoding.feature_count)

    @cached_property
    def format(self) -> InputFormat:
        """How clients of a server write texts, or token ids where there is no vocabulary."""
        from gatewise.model.input_format import TextFormat, TokenIdFormat  # a prediction does without

        return TokenIdFormat(self.encoding.vocab_size) if self.takes_ids else TextFormat()

    @property
    def unknown(self) -> int | None:
        """The token id of unknown words."""
        return self.encoding.unknown

    @property
    def takes_ids(self) -> bool:
        """Whether the inputs are token ids, as lists or as texts of numbers: the model has no vocabulary."""
        return self.encoding.kind == "index" and cast("IndexEncoding", self.encoding).takes_ids

    def rows(
        self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()
    ) -> tuple[list[Any], list[dict[str, float | str]]]:
        """The n texts in any container, or one text; for words at spaces, a text may be a list of words. And the
        columns of each row by name; [] where the model reads none. columns: where a data frame has the texts. Errors
        as `Model.predict`.
        """
        if layout is not None:
            raise InputError("layout is for series, and this is a model of texts")
        if isinstance(inputs, str):
            from gatewise.data.inputs import refuse_file  # a prediction of a list does without

            refuse_file(inputs)
            inputs = [inputs]
        texts, of_rows = split_rows(inputs, self.columns)
        return self._texts(texts, columns), of_rows

    def _texts(self, inputs: Any, columns: Sequence[str]) -> list[Any]:
        """n texts in any container."""
        if self.encoding.kind == "index":
            inputs = cast("IndexEncoding", self.encoding).texts(inputs)
        if isinstance(inputs, list | tuple):  # a prediction imports nothing of `gatewise.data`
            if self.encoding.kind in ("spaces", "word-features"):
                return join_words_of_rows(inputs)
            return list(inputs)
        from gatewise.data.inputs import convert_texts, refuse_file

        refuse_file(inputs)
        return convert_texts(inputs, columns=columns)

    def _text(self, item: Any) -> Any:
        """One text, as `rows`, without columns."""
        [found] = self._texts([item], ())
        return found

    def encode_batch(self, inputs: Any, layout: str | None = None, columns: Sequence[str] = ()) -> EncodedBatch:
        """What the members read of each of `rows`. Raises InputError naming the text."""
        of_rows: list[dict[str, float | str]] = []
        sequences = None
        # Ids in arrays or lists need no text; what `ids_of` does not read, `rows` reads or refuses.
        if self.takes_ids and layout is None and not self.columns:
            sequences = cast("IndexEncoding", self.encoding).ids_of(inputs)
        if sequences is None:
            texts, of_rows = self.rows(inputs, layout, columns)
            for number, text in enumerate(texts):
                _check_text(text, number)
            sequences = self.encoding.encode_batch(texts)
        if self.steps is not None:
            sequences = self.steps.fit_batch(sequences)
        if not sequences.lengths.all():
            empty = int(np.flatnonzero(sequences.lengths == 0)[0])
            raise InputError(f"row {empty} {self._why_empty}")
        return EncodedBatch(sequences, columns=self.columns.values_of(of_rows))

    def encode(self, item: Any) -> EncodedItem:
        """One text with display names and spans of its steps, tokenised once. Errors as `encode_batch`; InputError for
        a data frame.
        """
        if is_frame(item):
            how = "pass a text of it"
            if self.columns:
                how += ", with its columns as gatewise.data.with_columns(text, {name: value})"
            raise InputError(f"one text is read, not {described(item)}: {how}")
        [text], of_rows = self.rows([item])
        _check_text(text, 0)
        try:
            ids, names, spans = self._tokenized(text)
        except InputError as error:
            raise InputError(f"row 0: {error}") from None
        if not len(ids):
            raise InputError(f"row 0 {self._why_empty}")
        columns: tuple[float | str, ...] = ()
        if of_rows:
            columns = self.columns.values(of_rows[0])
        return EncodedItem(text, EncodedSequence(ids, columns=columns), names, spans)

    @property
    def _why_empty(self) -> str:
        return "has no token but pads (id 0), which the network leaves out" if self.takes_ids else "has no word"

    def _tokenized(self, text: str) -> Encoded:
        found = self.encoding.tokenize(text)
        return found if self.steps is None else self.steps.fit(found)

    def encode_steps(self, items: Any, steps: Lengths) -> tuple[Array, Lengths]:
        """Token ids (N,) that n words or other parts of texts add to streams of `steps` (n,) tokens, one stream after
        the other, and how many each adds (n,). Parts that are read one after the other are the text in which a space
        separates them. items: also ids (n,) or (n, parts). Errors as `encode_batch`, with the number of the stream.
        """
        if len(items) != len(steps):
            raise InputError(f"expected {counted(len(steps), 'part')} of texts, one per stream, not {len(items):,}")
        if self.takes_ids and isinstance(items, np.ndarray) and items.dtype.kind in "iu" and items.ndim in (1, 2):
            table = items.reshape(len(items), -1)
            if table.size and table.min() >= 0 and table.max() < self.encoding.vocab_size:
                ids = table.astype(np.int32).reshape(-1)
                return self._read_ids(Ragged(ids, np.full(len(table), table.shape[1], np.intp)))
        encoded = []
        for number, (item, step) in enumerate(zip(items, steps.tolist(), strict=True)):
            try:
                text = self._text(item)
                _check_text(text, 0)
                ids = np.asarray(self.encoding.encode(text))
            except InputError as error:
                if len(steps) == 1:
                    raise
                raise InputError(f"stream {number}: {error}") from None
            if step:
                ids = ids[self.ids_before_text :]
            encoded.append(ids)
        return self._read_ids(Ragged.of(encoded, np.int32))

    def _read_ids(self, ids: Ragged) -> tuple[Array, Lengths]:
        """The ids of streams without those that the network leaves out."""
        if self.steps is not None and self.steps.masked:
            ids = ids.where(ids.values != 0)
        return ids.values, ids.lengths

    @cached_property
    def ids_before_text(self) -> int:
        """The number of ids that the encoding puts before every text."""
        return len(self.encoding.encode(""))

    def token_names(self, item: Any) -> list[str]:
        """A display name for each step of the encoded text."""
        return self._tokenized(self._text(item)).names

    def replace_tokens(self, text: str, words: Mapping[int, str]) -> tuple[Array, list[str]]:
        """Ids and token names of the text with other words at the given steps. An empty word deletes the token.

        Raises InputError for a step that is not a word of the text.
        """
        _check_text(text, 0)
        ids, names, _ = self.encoding.tokenize(text)
        if self.steps is not None and self.steps.side == "pre" and self.steps.length and not self.steps.masked:
            words = {step - (self.steps.length - len(ids)): word for step, word in words.items()}
        first = self.ids_before_text
        new_ids, new_names = [np.asarray(ids[:first])], names[:first]
        for step in words:
            if not first <= step < len(ids):
                raise InputError(f"step {step + 1} is not a word: the words are steps {first + 1} to {len(ids)}")
        for step in range(first, len(ids)):
            if step in words:
                new = self.encoding.tokenize(words[step])
                new_ids.append(new.sequence[first:])
                new_names += new.names[first:]
            else:
                new_ids.append(ids[step : step + 1])
                new_names.append(names[step])
        ids, names = np.concatenate(new_ids), new_names
        if self.steps is not None:
            ids, names, _ = self.steps.fit(Encoded(ids, names, [(0, 0)] * len(names)))
        return ids, names

    def frequent_ids(self, count: int) -> range | None:
        """The ids of the `count` most frequent words of the training texts. None where the ids are in another order,
        and for vocabularies of less than ten times as many words, most of which are frequent.
        """
        first = {"tokens": 2, "keras": 4}.get(self.encoding.kind)
        return None if first is None or self.encoding.vocab_size < 10 * count else range(first, first + count)

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The entry for config.json, and the files by name."""
        config, files = self.encoding.to_files()
        more = {} if self.steps is None else {"steps": asdict(self.steps)}
        return config | more | ({"columns": asdict(self.columns)} if self.columns else {}), files


def _check_text(text: Any, number: int) -> None:
    if not isinstance(text, str):
        raise InputError(f"row {number} is a {type(text).__name__}, not a string")
    if not text.strip():
        raise InputError(f"row {number} is empty")


def reader_of_arrays(preprocessor: Preprocessor) -> ArraysPreprocessor | None:
    """The preprocessor of a network with several inputs, which reads rows of arrays by name; None for another one."""
    if not preprocessor.inputs.further:
        return None
    return cast("ArraysPreprocessor", preprocessor)


def preprocessor_from(config: object, read: Callable[[str], bytes]) -> Preprocessor:
    """The preprocessor that `to_files` described. read(name): the bytes of a file. Raises ModelFileError."""
    if not isinstance(config, dict) or not isinstance(config.get("kind"), str):
        raise ModelFileError("config.json: preprocessor must be an object with a kind")
    config = dict(config)
    if config["kind"] == "series":
        from gatewise.model.series_preprocessor import SeriesPreprocessor

        del config["kind"]
        return SeriesPreprocessor.from_config(config)
    if config["kind"] == "arrays":
        from gatewise.model.arrays_preprocessor import ArraysPreprocessor

        del config["kind"]
        return ArraysPreprocessor.from_config(config)
    steps, columns = None, schema_from(config.pop("columns", {}), "preprocessor: columns")
    if (entry := config.pop("steps", None)) is not None:
        from gatewise.model.step_rule import StepRule

        steps = fields_from(StepRule, entry, "preprocessor: steps")
    return TextPreprocessor(encoding_from(config, read), steps, columns)
