"""The sentences by another author: none overlaps with a training text; their figures are those of card and docs."""

import csv
import tomllib
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from benchmarks.independent_sentences import (
    ALL,
    CLASSES,
    TABLE,
    positive_probability,
    read_sentences,
    results_of,
    table_of,
    worst,
)
from benchmarks.tables import SITE_TABLES
from gatewise.model import bundled
from gatewise.model.model import Model
from tests.refusals import assert_refused
from tools.bundled.measured import Overlap, normalised, word_ngrams

ROOT = Path(__file__).parents[2]
TRAINING = ROOT / "tools" / "bundled"


def training_texts() -> list[str]:
    """All texts that `tools/bundled` trains or validates on, and the constant parts of its templates."""
    texts = []
    for path in sorted(TRAINING.glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            texts += [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    for path in sorted(TRAINING.glob("*.toml")):
        for forms in tomllib.loads(path.read_text(encoding="utf-8"))["forms"].values():
            texts += [form.replace("{}", " ") for form in forms]
    return texts


def evaluation_sets() -> dict[str, list[str]]:
    """The texts of each table of short texts in benchmarks/."""
    found = {}
    for path in sorted((ROOT / "benchmarks").glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            found[path.name] = [row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return found


def test_no_evaluation_text_is_a_training_text_or_shares_six_words_with_one() -> None:
    trained, sets = training_texts(), evaluation_sets()
    assert len(trained) > 14_000
    assert TABLE.name in sets
    overlap = Overlap(trained)
    for name, texts in sets.items():
        assert len({normalised(text) for text in texts}) == len(texts), name
        assert not [text for text in texts if text in overlap], name


def test_case_punctuation_and_white_space_do_not_hide_an_overlap() -> None:
    overlap = Overlap(["The plot isn't much; I LEFT after an hour.", "So-so\tfilm", "👎"])
    assert "the plot ISNT much, i left, after an hour!" in overlap
    assert "so so film." in overlap
    assert "👎" in overlap
    assert "We were bored: I left after an hour" not in overlap
    assert "Sadly, isn’t much I left after... or so" not in overlap
    assert "Well, the plot isn't much - I left early." in overlap
    assert ":)" not in overlap
    assert word_ngrams("a b c d e") == set()
    assert word_ngrams("A, b c d e f. g") == {"a b c d e f", "b c d e f g"}


def test_the_published_figures_are_those_of_the_bundled_model() -> None:
    if bundled.missing():
        pytest.skip(str(bundled.missing()))
    model, sentences = gw.load(), read_sentences()
    texts = [sentence.text for sentence in sentences]
    found = results_of(sentences, model.logits(texts), model)
    saved = [one for one in model.metadata.evaluations if one.data.startswith(ALL)]
    assert [(one.data, one.n) for one in saved] == [(one.data, one.n) for one in found]
    assert [one.accuracy for one in saved] == pytest.approx([one.accuracy for one in found])
    header, _, *rows = table_of(found)
    published, _, *published_rows = SITE_TABLES["independent-sentences"]().splitlines()
    assert [published, *published_rows] == [header, *rows]
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    right = round(found[0].accuracy * found[0].n)
    assert f"\n{right} of {found[0].n} are right: {found[0].accuracy:.3f} (" in page


def test_each_capability_is_counted_by_itself() -> None:
    sentences, rng = read_sentences(), np.random.default_rng(3)
    model = _tiny()
    logits = rng.normal(size=(len(sentences), 1)).astype(np.float32)
    results = results_of(sentences, logits, model)
    right = [(z > 0) == (one.label == "positive") for z, one in zip(logits[:, 0], sentences, strict=True)]
    assert results[0].n == len(sentences)
    assert results[0].accuracy == pytest.approx(np.mean(right))
    for result in results[1:]:
        capability = result.data.removeprefix(f"{ALL}: ")
        of_capability = [r for r, one in zip(right, sentences, strict=True) if one.capability == capability]
        assert (result.n, result.calibration_error) == (len(of_capability), None)
        assert result.accuracy == pytest.approx(np.mean(of_capability))
    assert sum(result.n for result in results[1:]) == len(sentences)
    probability = 1 / (1 + np.exp(-logits[:, 0]))
    listed = worst(sentences, probability, "negation", 2)
    assert len(listed) == 2
    assert positive_probability(model, ["a", "b"]).shape == (2,)


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("label\tcapability\ttext\nneutral\tplain\tA film.\n")
    assert_refused("table.tsv:2: the label must be negative or positive, not neutral", read_sentences, path)
    path.write_text("label\tcapability\ttext\npositive\tplain\tFine.\npositive\t\tA film.\n")
    assert_refused("table.tsv:3: a cell is empty", read_sentences, path)


def _tiny() -> Model:
    texts = [f"word{n} {'good' if n % 2 else 'bad'}" for n in range(40)]
    return gw.train(texts, [CLASSES[n % 2] for n in range(40)], recipe="lstm", epochs=1, units=2, verbose=0)
