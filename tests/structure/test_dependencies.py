"""Every dependency has its line, with its range, in docs/dependencies.md."""

import re
import tomllib

from source_tree import ROOT

SPLIT = re.compile(r"([A-Za-z0-9_-]+)(\[[^\]]*\])?(.*)")


def test_the_page_and_the_project_agree() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    required: set[tuple[str, str, str | None]] = set()
    for extra, lines in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for line in lines:
            match = SPLIT.fullmatch(line)
            assert match, line
            if match[1] != "gatewise":  # one extra naming another
                required.add((match[1], match[3], None if extra in ("", "dev") else extra))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w-]+) \| `([^`]+)` \|(?: `(\w+)` \|)? [^|]+ \| [^|]{20,} \|$", page, re.MULTILINE)
    assert {(name, wide, extra or None) for name, wide, extra in rows} == required
    assert len(rows) == len(required), "a dependency has two lines"


def test_what_builds_the_wheel_is_there_to_test_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(settings["build-system"]["requires"]) <= set(settings["project"]["optional-dependencies"]["dev"])

    # No dependency is pinned to a build of one machine.
    for path in ("pyproject.toml", "Makefile", ".ci/run"):
        assert "+cpu" not in (ROOT / path).read_text(encoding="utf-8")
