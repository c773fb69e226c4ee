"""The folders of tests that a change needs, by the imports: `python -m tools.affected_tests [REVISION]` prints them.

What has changed since REVISION (where this branch left `main`), and in the working tree, needs

- the folder of tests of its package: tests mirror the packages;
- each folder with a module that imports a changed one;
- `tests/structure`, which reads the whole tree.

A test that reaches a change through other modules is not among them: nearly every test reaches nearly every module so.
`make check` runs the folders that are printed here, and `make test` runs all.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALL = ["tests", "src/gatewise"]
STRUCTURE = "tests/structure"
# Files that any test may depend on.
FOR_ALL = ("conftest.py", "pyproject.toml", "Makefile", "CMakeLists.txt", "tests/conftest.py", "tests/cost.py")
FOLDERS = {"src/native": "tests/kernels", "src/gatewise/serve/page": "tests/serve"}


def changed_files(revision: str = "") -> list[str]:
    """Paths from the root of the repository. revision: that of the comparison, "" for where the branch left `main`."""
    if not revision:
        revision = _git("merge-base", "HEAD", "main")[0] if _git("branch", "--list", "main") else "HEAD"
    return [*_git("diff", "--name-only", revision), *_git("ls-files", "--others", "--exclude-standard")]


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def module_of(path: str) -> str:
    """The name by which a Python file is imported."""
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_modules(code: str, modules: Iterable[str]) -> set[str]:
    """Those of `modules` that the code of a file imports, anywhere in it."""
    names = set[str]()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & set(modules)


def folder_of_tests(path: str) -> str:
    """tests/NAME for a file of tests or of the package, "" for another file."""
    for start, folder in FOLDERS.items():
        if path.startswith(f"{start}/"):
            return folder
    first, *rest = path.removeprefix("src/").split("/")
    if first not in ("gatewise", "tests", "benchmarks", "tools", "trust") or not rest:
        return ""
    if first in ("benchmarks", "tools", "trust"):
        return f"tests/{first}"
    name = rest[0]
    if first == "gatewise" and name.endswith(".py"):
        return f"tests/test_{name}"
    return f"tests/{name}"


def affected_tests(changed: Iterable[str], files: Mapping[str, str]) -> list[str]:
    """The folders and files of tests that a change of these files needs. files: the code of each Python file."""
    changed = list(changed)
    if not changed or any(path in FOR_ALL for path in changed):
        return ALL
    modules = {module_of(path) for path in changed if path in files}
    importers = [path for path, code in files.items() if path.startswith("tests/") and imported_modules(code, modules)]
    needed = {STRUCTURE, *map(folder_of_tests, [*changed, *importers])} & _with_tests(files)
    doctests = [path for path in changed if path.startswith("src/gatewise/") and path in files]
    return [*sorted(needed), *doctests]


def _with_tests(files: Iterable[str]) -> set[str]:
    """The folders in tests/ with tests, and the files of tests beside them."""
    tests = [path for path in files if path.startswith("tests/") and Path(path).name.startswith("test_")]
    return {folder_of_tests(path) for path in tests}


def main() -> None:
    """Print them on one line."""
    names = _git("ls-files", "--cached", "--others", "--exclude-standard", "*.py")
    files = {name: (ROOT / name).read_text(encoding="utf-8") for name in names if (ROOT / name).exists()}
    print(*affected_tests(changed_files(*sys.argv[1:]), files))


if __name__ == "__main__":
    main()
