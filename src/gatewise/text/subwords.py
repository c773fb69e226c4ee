"""Words divided into frequent pieces, by byte-pair encoding (Sennrich et al. 2016) on Hugging Face tokenizers.

The words are those of `gatewise.text.tokens`. A word starts as its characters; merges, the most frequent first, join
two adjacent pieces. A piece that does not start its word is written with ## in the vocabulary ("un", "##usual"). A word
that was never seen consists of pieces that were, so words with many forms, misspelt words and names share what is
learnt.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

from gatewise.errors import required
from gatewise.text.encoding import checked_texts
from gatewise.text.tokens import INSIDE, PAD, UNKNOWN, TokenEncoding, build, joined, merges_of

MERGES = 2_000  # few pieces, each of them frequent: docs/log/accuracy.md


class SubwordEncoding(TokenEncoding):
    """Pieces of words to ids: 0 padding, 1 unknown, then the characters, then the pieces by merge. Build one with
    `fit`.
    """

    kind = "subwords"

    @classmethod
    def fit(
        cls, texts: Iterable[str], vocab_size: int = 30_000, min_count: int = 2, max_characters: int = 1_000_000
    ) -> Self:
        """The characters that occur at least `min_count` times, and up to `MERGES` merges of pairs that do; at most
        `vocab_size` entries. Equal texts give equal merges.
        """
        required("tokenizers", None, "an encoding of pieces of words")
        from tokenizers.trainers import BpeTrainer

        texts = list(checked_texts(texts, max_characters))
        tokenizer: Any = build({PAD: 0, UNKNOWN: 1}, [])
        counts = Counter[str]()
        for text in texts:
            counts.update(tokenizer.normalizer.normalize_str(text))
        every = sorted(character for character in counts if not character.isspace())
        characters = [character for character in every if counts[character] >= min_count]
        # The trainer numbers pieces in the order of a hash table with a random key, and breaks ties by number. Given as
        # special tokens, all characters have their number before.
        trainer = BpeTrainer(
            vocab_size=2 * len(every) + MERGES,
            min_frequency=min_count,
            show_progress=False,
            special_tokens=[*every, *(INSIDE + character for character in every)],
            continuing_subword_prefix=INSIDE,
        )
        tokenizer.train_from_iterator(texts, trainer)
        merges = merges_of(tokenizer) or []
        vocabulary = dict.fromkeys([PAD, UNKNOWN, *characters, *(INSIDE + character for character in characters)])
        vocabulary |= dict.fromkeys(joined(*merge) for merge in merges)
        tokenizer = build({piece: row for row, piece in enumerate(vocabulary)}, merges)
        fitted = cls(tokenizer, max_characters)
        return fitted.truncate_vocab(vocab_size) if vocab_size < fitted.vocab_size else fitted

    def pieces(self) -> list[str]:
        """Each entry as it is spelled, with a space in front where it starts a word; "" for padding and unknown."""
        rows = self.tokenizer.get_vocab()
        ranked = sorted(rows, key=rows.__getitem__)[self._n_special :]
        spelled = (
            one.removeprefix(INSIDE) if len(one) > len(INSIDE) and one.startswith(INSIDE) else " " + one
            for one in ranked
        )
        return [""] * self._n_special + list(spelled)
