"""The texts that the bundled model is measured on, so that it is not trained on them."""

from benchmarks import checklist
from gatewise.data.labelled import content_key


def bare_key(text: str) -> int:
    """A hash of a text. Case, spaces and the last punctuation marks do not count."""
    return content_key(text.strip().rstrip(".!? ") or text)


def measured_texts() -> set[int]:
    """`bare_key` of the texts of `benchmarks.checklist`."""
    measured = [*checklist.categories(), *checklist.short_texts()]
    return {bare_key(sentence) for category in measured for sentence in category.sentences}
