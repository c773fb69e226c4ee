"""Rules: votes, conflicts, what is removed, figures of each rule, files of rules, refusals."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled, Unlabelled, label_by_rules, patterns, read_rules
from gatewise.data.rules import label_unlabelled, rules_of
from gatewise.errors import InputError
from tests.refusals import assert_refused

pytestmark = pytest.mark.process  # which searches for the patterns

RULES: list[Any] = [(r"\b[89]/10\b", "good"), (re.compile("thumbs (up|down)", re.I), "good"), (r"\b[12]/10\b", "bad")]


def stars(text: str) -> Any:
    """Reads "4 of 5 stars", and removes it."""
    found = re.search(r"(\d) of 5 stars", text)
    return found and ("good" if int(found[1]) > 2 else "bad", [found.span()])


def shouts(text: str) -> str | None:
    return "bad" if text.isupper() else None


def test_all_rules_vote_and_conflicts_abstain() -> None:
    texts = [
        "warm, 9/10",
        "dull, 2/10 I say",
        "no rating",
        "8/10? no, 1/10",
        "Thumbs up: 9/10!",
        "8/10",
        "4 of 5 stars",
    ]
    found = label_by_rules([*texts, "ODD 4 of 5 stars", "ODD AND SLOW"], [*RULES, stars, shouts])
    assert found.classes == ("bad", "good")
    assert found.inputs == ["warm,  ", "dull,   I say", ":  !", "ODD  ", "ODD AND SLOW"]
    assert found.labels.tolist() == [1, 0, 1, 1, 0]
    assert found.source == "the texts given; rules label 5 of 9 texts, with 1 conflict"


def test_all_that_any_rule_reads_is_removed() -> None:
    """Each occurrence, overlapping ones once; a space keeps the words around it apart."""
    rules = [("very good", "a"), ("good film", "a"), ("x+", "a")]
    assert label_by_rules(["a very good film, good film:axxb"], rules).inputs == ["a  ,  :a b"]
    assert label_by_rules(["fine film", "so bad"], [("(?=film)", 1), ("so", 0)]).inputs == ["fine film", " bad"]


def test_labels_keep_their_type() -> None:
    found = label_by_rules(["a 9", "b 1"], [("9", np.int64(1)), (lambda text: 0 if "1" in text else None)])
    assert (found.target.class_labels.tolist(), found.labels.tolist()) == ([0, 1], [1, 0])
    data = Labelled.of(["x", "y", "z"], [5, 1, 5])
    made, _, _ = label_unlabelled(Unlabelled.of(["a 9", "b 1"]), rules_of([("9", "5"), ("1", 1.0)]), data)
    assert (made.classes, made.labels.tolist()) == (("1", "5"), [1, 0])


def test_coverage_and_agreement_on_labelled_texts() -> None:
    data = Labelled.of(["warm 9/10", "dull 8/10", "slow 1/10", "none"], ["good", "bad", "bad", "good"])
    texts = ["Warm  9/10", "slow", "new 9/10", "old 2/10", "both 9/10 1/10", "none 8/10", "held 1/10", "so 8/10"]
    held = Labelled.of(["held", "so 8/10"], ["bad", "good"])
    found, others, reports = label_unlabelled(Unlabelled.of(texts), rules_of([*RULES, stars]), data, held)
    assert found.inputs == ["new  ", "old  "], "others are labelled or validation rows, with or without rating"
    assert others.texts == ["slow", "both 9/10 1/10", "none 8/10", "held 1/10"]
    assert others.source.endswith("; rules label 2 of 6 texts, with 1 conflict")
    assert list(map(str, reports)) == [
        r"\b[89]/10\b -> good: coverage 50.0%, agreement 50.0%; coverage of the unlabelled texts 50.0%",
        "thumbs (up|down) -> good: coverage 0.0%; coverage of the unlabelled texts 0.0%",
        r"\b[12]/10\b -> bad: coverage 25.0%, agreement 100.0%; coverage of the unlabelled texts 50.0%",
        "stars: coverage 0.0%; coverage of the unlabelled texts 0.0%",
    ]


def test_rules_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "rules.csv"
    path.write_text('Pattern,label\n"\\b[89],?/10",good\n[12]/10,bad\n')
    found = label_by_rules(["warm 9,/10", "dull 1/10"], read_rules(path))
    assert (found.inputs, found.labels.tolist()) == (["warm  ", "dull  "], [1, 0])
    for rows, message in {
        "pattern,label\na,x\n(,x\n": r"rules.csv':3: '\(' is not a regular expression: missing \), unterminated",
        "pattern,label\na,\n": r"rules.csv':2: a label is a text, a number or True or False, not a text \(''\)",
        "pattern,label\na\n": "rules.csv':2: 1 field, but the header has 2",
        "pattern,label\n": "there is no rule",
        "regex,label\na,x\n": "rules.csv':1: no column 'pattern'; there are 'regex', 'label'",
    }.items():
        path.write_text(rows)
        assert_refused(message, read_rules, path, error=gw.errors.GatewiseError)


REFUSED: dict[str, tuple[Any, str]] = {
    "no rule": ([], "there is no rule"),
    "one rule": (("9/10", "good"), r"rule 1 must be \(regular expression, label\) or a function of a text, not a text"),
    "a mapping": ({"9/10": "good"}, "rules must be a list of .*, not a dict"),
    "a text": ("9/10", r"rules must be a list of .*, not a text \('9/10'\)"),
    "three values": ([RULES[0], ("a", "b", "c")], "rule 2 must be .*, not a tuple"),
    "bad regex": ([RULES[0], ("[9", "good")], r"rule 2: '\[9' is not a regular expression: unterminated character"),
    "every text": ([("9*", "good")], r"rule 1: '9\*' fits every text, as it fits the empty one"),
    "no label": ([("9", None)], "rule 1: a label is a text, a number or True or False, not None"),
    "a list as label": ([lambda text: ["good"]], "rule 1: a label is a text, .*, not a list"),
    "NaN": ([RULES[0], lambda text: float("nan")], r"rule 2: a label is .*, not a number \(nan\)"),
    "spans": ([lambda text: ("good", [(0, 99)])], r"rule 1: spans must be a list of \(start, end\) in the text, not "),
    "one span": ([lambda text: ("good", (0, 1))], r"rule 1: spans must be a list of \(start, end\) in the text, not "),
    "no match": ([("10/10", "good")], "the texts given; rules label 0 of 2 texts, with 0 conflicts: there is nothing"),
    "types": ([("9/", 1), ("1/", "1")], "labels: row 1 is a text .*, but row 0 is a number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rules_that_cannot_be_used(case: str) -> None:
    rules, message = REFUSED[case]
    assert_refused(message, label_by_rules, ["warm 9/10", "dull 1/10"], rules)


NESTED = "(" * 5_000 + "a" + ")" * 5_000
NO_PATTERNS: list[tuple[Any, str]] = [
    (
        "a{99999999999999}",
        "rule 1: 'a{99999999999999}' is not a regular expression: the repetition number",
    ),
    (NESTED, "is not a regular expression: it is nested too deeply"),
    (re.compile(b"ab"), "is a regular expression of bytes, and texts are str"),
]


@pytest.mark.parametrize(("pattern", "message"), NO_PATTERNS, ids=["repetition", "nested", "bytes"])
def test_patterns_that_cannot_be_compiled(pattern: Any, message: str) -> None:
    assert_refused(re.escape(message), rules_of, [(pattern, "x")])


@pytest.mark.parametrize("spans", [[(0.0, 2.0)], [(0, 1.5)], [(None, 2)], [(1,)], "ab", 7, [(2, 1)], [(0, 99)]])
def test_spans_are_places_in_the_text(spans: Any) -> None:
    message = r"rule 2: spans must be a list of \(start, end\)"
    assert_refused(message, label_by_rules, ["ab cd"], [("x", 1), lambda _: (5, spans)])


@pytest.mark.parametrize("label", [b"good", np.datetime64("2024-01-01"), 1 + 2j, float("nan"), ("a",)])
def test_labels_of_other_types(label: Any) -> None:
    assert_refused("a label is a text, a number or True or False", label_by_rules, ["ab"], [("a", label)])


@pytest.mark.parametrize("pair", [(True, 1), (0, False), (np.True_, 1.0)])
def test_a_boolean_is_no_number(pair: Any) -> None:
    rules = [("a", pair[0]), ("b", pair[1])]
    assert_refused(
        "rule 2: the labels .* are equal: give True and False, or numbers", label_by_rules, ["a", "b"], rules
    )
    data = Labelled.of(["x", "y"], [0, 1])
    assert_refused("are equal", label_unlabelled, Unlabelled.of(["a"]), rules_of([("a", bool(pair[0]))]), data)


def test_equal_numbers_are_one_label() -> None:
    found = label_by_rules(["a film", "b c", "d e", "x y"], [("b", 1), ("d", 1.0), ("a", -0.0), ("x", 0.0)])
    assert (found.classes, found.labels.tolist()) == (("0.0", "1.0"), [0, 1, 1, 0])


def test_a_pattern_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.3)
    slow = r"(a+)+b"
    assert_refused(
        r"row 1: the pattern '\(a\+\)\+b' takes more than 0.3 s",
        label_by_rules,
        ["aab c", "a" * 60],
        [("c", 1), (slow, 0)],
    )
    assert_refused(r"row 0: the pattern '\(a\+\)\+b' takes", label_by_rules, ["a" * 60], [(slow, 0)])


def test_the_process_finds_what_re_finds() -> None:
    """Random texts, with surrogates and line ends; more of them than are sent at once."""
    rng, letters = np.random.default_rng(4), ["a", "b", "ß", "\n", "\u2028", "😀", "\ud800", " ", "\0", '"', "A"]
    texts = ["".join(rng.choice(letters, rng.integers(0, 30))) for _ in range(700)]
    given = [re.compile("a+"), re.compile("A.b|ß", re.I | re.S), re.compile(r"^\W+$", re.M), re.compile("(?=b)")]
    with patterns.PatternProcess(given) as process:
        found = list(process.spans(texts))
    wanted = [[[list(match.span()) for match in one.finditer(text)] for one in given] for text in texts]
    assert found == wanted


def test_a_process_that_ends_is_an_error() -> None:
    with patterns.PatternProcess([re.compile("a")]) as process:
        process._process.kill()
        process._process.wait()
        with pytest.raises(InputError, match="ended: it may lack memory"):
            list(process.spans(["a"] * 3))
