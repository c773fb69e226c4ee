"""docs/explain.md: the figures of its example, and its screenshot, are of the bundled model."""

import re

from source_tree import ROOT

import gatewise as gw

PAGE = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
TEXT = "Slow at first, then a warm, funny and honest film. Not the mess that the trailer promises."
ROW = re.compile(r"^\| `([a-z-]+)`(?: \(.*?\))? \| (\S+) \| (\S+) \| (\S+) \| (.*?) \|$", re.MULTILINE)


def test_the_example_has_the_figures_of_the_bundled_model() -> None:
    """Numbers may differ by two units of the last digit: instruction sets round differently."""
    model = gw.load()
    assert f'gatewise explain "{TEXT}"' in PAGE
    probability = float(model.predict_proba(TEXT)[0, 1])
    assert abs(probability - float(re.search(r'predicts "positive" with probability (0\.\d+)', PAGE)[1])) < 0.011
    example = model.trace(TEXT)
    rows = ROW.findall(PAGE)
    assert len(rows) == 4
    for method, base_value, total, residual, words in rows:
        result = model.explain(example, method=method)
        assert abs(result.base_value - float(base_value)) < 0.002
        assert abs(result.scores.sum() - float(total)) < 0.002
        assert abs(result.residual - float(residual)) < 0.002
        shown = re.findall(r'"?([^\s"]+)"? (-\d\.\d\d)(?:, |$)', words)
        found = sorted(zip(result.scores, result.steps, strict=True))[:3]
        assert [word for word, _ in shown] == [word for _, word in found]
        assert all(abs(float(score) - value) < 0.011 for (_, score), (value, _) in zip(shown, found, strict=True))


def test_the_screenshot_is_of_the_bundled_model() -> None:
    shown = (ROOT / "docs" / "explain.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert f"fingerprint {gw.load().fingerprint}" in shown
