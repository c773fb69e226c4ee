"""The examples of a page run: its python and bash blocks, in order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from source_tree import ROOT

PAGES = [page for name in ("data", "series") if (page := ROOT / "docs" / f"{name}.md").exists()]
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# `gatewise` in a block is this environment's.
SHELL = 'set -euo pipefail\ngatewise() { "$PYTHON" -m gatewise "$@"; }\n'


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = [(text.count("\n", 0, found.start()) + 1, *found.groups()) for found in BLOCK.finditer(text)]
    assert len(blocks) == len(re.findall(r"^```\w", text, re.MULTILINE)), "a block is neither python nor bash"
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    environment = {**os.environ, "PYTHON": sys.executable, "GATEWISE_OFFLINE": "1", "COLUMNS": "100"}
    for line, language, code in blocks:
        where = f"docs/{page.name}:{line}"
        if language == "bash":
            command = ["bash", "-c", SHELL + code]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{where}: {done.stderr}"
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of small data
                exec(compile("\n" * line + code, where, "exec"), names)
