"""Labels per step: lists of words and labels, CoNLL files, tables, series."""

from pathlib import Path

import numpy as np
import pytest

from gatewise.data import Labelled, read_series, read_table, split
from gatewise.errors import DataError
from gatewise.target import join_words, words_of
from tests.refusals import assert_refused

CONLL = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n# # O O\nPeter NNP B-NP B-PER\n"
CONLLU = (
    "# text = vamonos al 1 000\n1-2\tvamonos\t_\t_\t_\t_\t_\t_\t_\t_\n1\tvamos\tir\tVERB\tv\t_\t0\troot\t_\t_\n"
    "2\tnos\tnosotros\tPRON\tp\t_\t1\tobj\t_\t_\n2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
    "# text = 1 000\n1\t1 000\t1000\tNUM\tn\t_\t0\troot\t_\t_\n"
)


def names(data: Labelled) -> list[list[str]]:
    return [[data.classes[k] for k in labels] for labels in data.labels]


def test_a_table_has_a_label_for_each_word(tmp_path: Path) -> None:
    for file, content, options, texts, labels in (
        ("a.conll", CONLL, {}, ["EU rejects", "# Peter"], [["B-ORG", "O"], ["O", "B-PER"]]),
        ("a.conll", CONLL, {"label": "2"}, ["EU rejects", "# Peter"], [["NNP", "VBZ"], ["#", "NNP"]]),
        ("a.conll", "# id 7\nA\tx\nB c\ty\n", {}, ["A B\u00a0c"], [["x", "y"]]),
        ("a.conllu", CONLLU, {}, ["vamos nos", "1\u00a0000"], [["VERB", "PRON"], ["NUM"]]),
        ("a.conllu", CONLLU, {"label": "xpos"}, ["vamos nos", "1\u00a0000"], [["v", "p"], ["n"]]),
        ("a.csv", "text,label\nA b  c,x y x\nd,y\n", {}, ["A b  c", "d"], [["x", "y", "x"], ["y"]]),
        (
            "a.jsonl",
            '{"w": ["A", "b c"], "t": ["x", "y"]}\n{"w": "d", "t": ["x"]}\n',
            {"text": "w", "label": "t"},
            ["A b\u00a0c", "d"],
            [["x", "y"], ["x"]],
        ),
    ):
        (tmp_path / file).write_text(content, encoding="utf-8")
        data = read_table(tmp_path / file, task="tagging", **options)
        assert (data.inputs, names(data)) == (texts, labels)
        assert data.target.per_step
        assert data.target.task == "tagging"
        if file.startswith("a.conll"):
            assert names(read_table(tmp_path / file, **options)) == labels, "such a file has no other task"
        assert all(len(words_of(text)) == len(row) for text, row in zip(data.inputs, data.labels, strict=True))


def test_a_row_that_does_not_fit_is_named(tmp_path: Path) -> None:
    for file, content, message in (
        ("a.conll", "EU B\nrejects\n", "line 2 has 1 field, not 2"),
        ("a.conll", "EU\tB\n\nx\t\n", "line 3: field 2 is empty"),
        ("a.conll", "EU\nB\n", "no column 'label'"),
        ("a.conll", "", "is empty"),
        ("a.csv", "text,label\na b,x\n", ":2: 1 label for 2 words"),
        ("a.jsonl", '{"text": ["a", ""], "label": ["x", "y"]}\n', "word 2 is empty"),
        ("a.jsonl", '{"text": ["a", "b"], "label": ["x", null]}\n', "'label' is empty"),
    ):
        (tmp_path / file).write_text(content, encoding="utf-8")
        assert_refused(message, read_table, tmp_path / file, task="tagging", error=DataError)


def test_series_have_a_label_for_each_step(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text("@classLabel true a b c\n@data\n1,2,3:4,5,6:a,a,b\n1:1:b\n")
    rows = "id,t,x,label\ns,2,0.2,b\nr,1,0.3,a\ns,1,0.1,a\n"
    (tmp_path / "steps.csv").write_text(rows)
    (tmp_path / "rows.csv").write_text("1,2,3,label\n0.1,0.2,,a b\n0.3,,,b\n".replace("1,2,3", "a1,a2,a3"))
    np.savez(tmp_path / "equal.npz", X=np.zeros((2, 3)), y=np.array([[7, 8, 7], [8, 8, 8]]))
    np.savez(tmp_path / "ragged.npz", values=np.ones((3, 1)), lengths=np.array([2, 1]), y=np.array(["u", "v", "u"]))
    found = {
        name: read_series(tmp_path / name, task="tagging", **options).labelled("tagging")
        for name, options in {
            "a.ts": {},
            "steps.csv": {"id": "id", "time": "t"},
            "rows.csv": {},
            "equal.npz": {},
            "ragged.npz": {},
        }.items()
    }
    assert {name: names(data) for name, data in found.items()} == {
        "a.ts": [["a", "a", "b"], ["b"]],
        "steps.csv": [["a", "b"], ["a"]],
        "rows.csv": [["a", "b"], ["b"]],
        "equal.npz": [["7", "8", "7"], ["8", "8", "8"]],
        "ragged.npz": [["u", "v"], ["u"]],
    }
    assert found["a.ts"].classes == ("a", "b", "c")
    assert found["equal.npz"].target.label_type == "int"
    with pytest.raises(DataError, match="'a,a,b' is not among those of @classLabel; for a label per step"):
        read_series(tmp_path / "a.ts")
    (tmp_path / "one.ts").write_text("@classLabel true a b\n@data\n1,2,3:a\n")
    one = read_series(tmp_path / "one.ts", task="tagging")
    assert_refused("1 label for 3 steps", one.labelled, "tagging", error=DataError)


def test_labels_that_do_not_fit_are_named() -> None:
    for labels, message in (
        ([["X"], ["X"]], "labels: row 0 has 1 label for 2 words"),
        (["X Y", "X"], r"row 0 is a text \('X Y'\), not a list of labels"),
        ([["X", None], ["X"]], "row 0, step 2 has no label"),
        ([["X", "Y"], [1]], "row 1, step 1 is a number"),
        ([["X", "Y"], []], "row 1 is an empty list: it needs one label per step"),
    ):
        assert_refused(message, Labelled.of, [["a", "b"], ["c"]], labels, task="tagging")


def test_splits_and_other_classes() -> None:
    data = Labelled.of([["a", "b"], ["c"], ["d"], ["a", "e"]], [["X", "Y"], ["X"], ["Y"], ["Y", "Y"]], task="tagging")
    train, rest = split(data, 0.5, 0)
    assert sorted([*train, *rest]) == [0, 1, 2, 3]
    assert names(data.take(rest)) == [names(data)[row] for row in rest]
    assert [row.tolist() for row in data.labels_among(("Z", "Y", "X"))] == [[2, 1], [2], [1], [1, 1]]
    assert_refused("no class 'X'", data.labels_among, ("Y", "Z"))
    assert len({data.fingerprint(), data.take([1, 0, 2, 3]).fingerprint()}) == 2


def test_words_are_separated_by_spaces() -> None:
    assert words_of(join_words(["New York", " a ", "b\u00a0c"])) == ["New\u00a0York", "a", "b\u00a0c"]
    assert_refused("word 1 is empty", join_words, ["", "a"])


def test_numbers_per_step_are_no_classes(tmp_path: Path) -> None:
    """They were as many classes, and 200 series "too few to hold out"."""
    rng = np.random.default_rng(11)
    series, numbers = rng.normal(size=(200, 20, 1)), rng.normal(size=(200, 20)).round(3)
    message = r"labels: row 0, step 1 is .*, and the labels of 4,000 steps are [0-9,]+ different numbers: .*digitize"
    for labels in (numbers, list(numbers), numbers.tolist(), numbers.astype(str).tolist(), (numbers * 1e9).astype(int)):
        assert_refused(message, Labelled.of, series, labels, task="tagging")
    rows = [f"{n // 20},{n % 20},{x},{y}" for n, (x, y) in enumerate(zip(series.ravel(), numbers.ravel(), strict=True))]
    (tmp_path / "a.csv").write_text("id,t,x,label\n" + "\n".join(rows) + "\n")
    read = read_series(tmp_path / "a.csv", id="id", time="t", task="tagging")
    assert_refused("different numbers: task='tagging'", read.labelled, "tagging", error=DataError)
    few = rng.choice([0.5, 1.25, 7.0], size=(200, 20))
    assert Labelled.of(series, few, task="tagging").classes == ("0.5", "1.25", "7.0")
    whole = rng.integers(0, 60, size=(200, 20))
    assert len(Labelled.of(series, whole, task="tagging").classes) == 60
