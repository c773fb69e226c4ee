"""Words divided into frequent pieces, by byte-pair encoding (Sennrich et al. 2016) on Hugging Face tokenizers.

The words are those of `gatewise.text.tokens`. A word starts as its characters; merges, the most frequent first, join
two adjacent pieces. A piece that does not start its word is written with ## in the vocabulary ("un", "##usual"). A new
word consists of known pieces, so the forms of a word, its misspellings and names share embeddings.
"""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar, Self

from gatewise.errors import ModelFileError, required
from gatewise.text.encoding import checked_texts
from gatewise.text.tokenizer import LibraryEncoding
from gatewise.text.tokens import PAD, PIPELINE, UNKNOWN
from gatewise.text.word_tokenizer import normalized

MERGES = 2_000  # few pieces, each of them frequent: docs/log/accuracy.md
INSIDE = "##"  # before a piece that does not start its word

Merge = tuple[str, str]


class SubwordEncoding(LibraryEncoding):
    """Pieces of words to ids: 0 padding, 1 unknown, then the characters, then the pieces by merge. Build one with
    `fit`. merges: the pairs of pieces that are joined, the first ones first. Raises MissingExtra without the tokenizers
    library.
    """

    kind = "subwords"
    _model: ClassVar[dict[str, Any]] = {
        "type": "BPE",
        "dropout": None,
        "unk_token": UNKNOWN,
        "continuing_subword_prefix": INSIDE,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {},
        "merges": [],
    }

    def __init__(
        self,
        ids: dict[str, int],
        merges: list[Merge],
        max_characters: int = 1_000_000,
        max_tokens: int = 200_000,
        pipeline: int = PIPELINE,
    ) -> None:
        required("tokenizers", None, "an encoding of pieces of words")
        from tokenizers import Tokenizer

        super().__init__(ids, max_characters, max_tokens, pipeline)
        self.merges = merges
        self.tokenizer = Tokenizer.from_str(self._json())

    @classmethod
    def fit(
        cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2, max_characters: int = 1_000_000
    ) -> Self:
        """The characters that occur at least `min_count` times, and up to `MERGES` merges of pairs that do; at most
        `vocab_size` entries. Equal texts give equal merges.
        """
        tokenizer = cls({PAD: 0, UNKNOWN: 1}, []).tokenizer
        from tokenizers.trainers import BpeTrainer

        texts = list(checked_texts(texts, max_characters))
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(normalized(text))
        all_characters = sorted(character for character in counts if not character.isspace())
        characters = [character for character in all_characters if counts[character] >= min_count]
        # The trainer numbers pieces in the order of a hash table with a random key, and breaks ties by number. As
        # special tokens, the characters get their numbers before, in the order of this list.
        trainer = BpeTrainer(
            vocab_size=2 * len(all_characters) + MERGES,
            min_frequency=min_count,
            show_progress=False,
            special_tokens=[*all_characters, *(INSIDE + character for character in all_characters)],
            continuing_subword_prefix=INSIDE,
        )
        tokenizer.train_from_iterator(texts, trainer)
        merges = [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]
        pieces = [PAD, UNKNOWN, *characters, *(INSIDE + character for character in characters)]
        pieces += [_joined(*merge) for merge in merges]
        ids = {piece: id for id, piece in enumerate(dict.fromkeys(pieces))}
        encoding = cls(ids, merges, max_characters)
        if vocab_size < encoding.vocab_size:
            encoding = encoding.truncate_vocab(vocab_size)
        return encoding

    def extended(self, texts: Iterable[str]) -> Self:
        """The encoding itself: new words consist of its pieces."""
        return self

    def truncate_vocab(self, vocab_size: int) -> Self:
        """A copy with the first `vocab_size` entries, without the last merges. Words are divided into more pieces.

        Raises InputError for less than 3 and for more than there are.
        """
        kept = self._first_ids(vocab_size)
        merges = [merge for merge in self.merges if {*merge, _joined(*merge)} <= kept.keys()]
        return type(self)(kept, merges, self.max_characters, self.max_tokens, self.pipeline)

    def pieces(self) -> list[str]:
        """Each entry as it is spelled, with a space in front where it starts a word; "" for padding and unknown."""
        pieces = [""] * self._n_special
        for entry in islice(self.ids, self._n_special, None):
            is_inside = entry.startswith(INSIDE) and entry != INSIDE  # a text may have ## as a piece of its own
            if is_inside:
                pieces.append(entry.removeprefix(INSIDE))
            else:
                pieces.append(" " + entry)
        return pieces

    def _vocabulary(self) -> dict[str, Any]:
        return {"vocab": self.ids, "merges": self.merges}

    @classmethod
    def _from_model(cls, ids: dict[str, int], model: dict[str, Any], limits: dict[str, Any]) -> Self:
        stored = model.get("merges")
        if not isinstance(stored, list) or not all(_is_merge(merge, ids) for merge in stored):
            raise ModelFileError(f"{cls.file}: a merge is not two pieces of the vocabulary that make a third one")
        merges = [(left, right) for left, right in stored]
        if len(set(merges)) != len(merges):
            raise ModelFileError(f"{cls.file}: a merge occurs twice")
        model["vocab"] = {}
        model["merges"] = []
        return cls(ids, merges, **limits)


def _joined(left: str, right: str) -> str:
    """The piece that a merge makes of two."""
    return left + right.removeprefix(INSIDE)


def _is_merge(merge: Any, ids: dict[str, int]) -> bool:
    return (
        isinstance(merge, list)
        and len(merge) == 2
        and all(isinstance(piece, str) and piece in ids for piece in merge)
        and merge[1].startswith(INSIDE)
        and _joined(*merge) in ids
    )
