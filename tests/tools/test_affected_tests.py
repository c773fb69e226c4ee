"""`tools.affected_tests`: a change needs the tests of its package and those that import it."""

import pytest

from tools.affected_tests import ALL, affected_tests, changed_files, imported_modules

FILES = {
    "src/gatewise/errors.py": "class InputError(Exception): ...",
    "src/gatewise/ragged.py": "",
    "src/gatewise/text/__init__.py": "",
    "src/gatewise/text/keras.py": "from gatewise import errors",
    "tests/helpers.py": "",
    "tests/data/test_rules.py": "from gatewise.errors import InputError\n",
    "tests/model/test_model.py": "def test_a() -> None:\n    import gatewise.text.keras\n",
    "tests/serve/page/test_page.py": "from tests.helpers import ask",
    "tests/structure/test_log.py": "",
    "tests/test_errors.py": "",
    "tests/text/test_text_keras.py": "from gatewise.text import keras",
    "trust/server.py": "from tests.helpers import ask",
}


def test_a_module_needs_its_package_and_what_imports_it() -> None:
    assert affected_tests(["src/gatewise/text/keras.py"], FILES) == [
        "tests/model", "tests/structure", "tests/text", "src/gatewise/text/keras.py",
    ]  # fmt: skip
    assert affected_tests(["src/gatewise/errors.py"], FILES) == [
        "tests/data", "tests/structure", "tests/test_errors.py", "src/gatewise/errors.py",
    ]  # fmt: skip
    assert affected_tests(["src/gatewise/ragged.py"], FILES) == ["tests/structure", "src/gatewise/ragged.py"]


def test_files_of_tests_and_those_that_are_not_python() -> None:
    assert affected_tests(["tests/helpers.py"], FILES) == ["tests/serve", "tests/structure"]
    assert affected_tests(["tests/data/rows.csv", "docs/data.md"], FILES) == ["tests/data", "tests/structure"]
    assert affected_tests(["src/gatewise/serve/page/url.js"], FILES) == ["tests/serve", "tests/structure"]
    assert affected_tests(["README.md"], FILES) == ["tests/structure"]


def test_all_tests() -> None:
    for changed in ([], ["pyproject.toml"], ["src/gatewise/errors.py", "tests/conftest.py"]):
        assert affected_tests(changed, FILES) == ALL


@pytest.mark.process
def test_a_revision_that_git_does_not_know() -> None:
    with pytest.raises(SystemExit, match=r"^git diff --name-only nowhere: fatal: "):
        changed_files("nowhere")


def test_imports_in_each_form() -> None:
    code = "import a.b\nfrom a import c, d\ndef later():\n    from a.e import f as g\n"
    assert imported_modules(code, ["a.b", "a.c", "a.e", "a.f", "b"]) == {"a.b", "a.c", "a.e"}
