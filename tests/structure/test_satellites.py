"""The core imports no satellite; the table "Core and satellites" of CONTRIBUTING.md says which is which."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from source_tree import ROOT, imports, module_of, trees


def rows() -> dict[str, set[str]]:
    """The units and files of each row of the table, by its first column."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Core and satellites")[1].split("\n## ")[0]
    table = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ")]
    return {name.strip(): set(re.findall(r"`([\w./*]+)`", units)) for name, units in table[1:]}


ROWS = rows()
CORE, FRONT = ROWS.pop("core"), ROWS.pop("front doors")
SATELLITES = set().union(*ROWS.values())
FILES = {module_of(path): path for path in trees()}


def place_of(path: Path) -> str:
    """The entry of the table to which a file belongs, the longest one that fits."""
    entries = [entry for entry in CORE | FRONT | SATELLITES if covers(entry, path)]
    assert entries, f"{path} is in no row of the table Core and satellites in CONTRIBUTING.md"
    return max(entries, key=len)


def covers(entry: str, path: Path) -> bool:
    """Whether an entry, a package or a pattern of files, has the file."""
    return fnmatchcase(path.as_posix(), entry if entry.endswith(".py") else f"{entry}/*")


def file_of(module: str) -> Path:
    """The file of a module; of what is in a module, as the C++ extension is in its package, that of the module."""
    while module not in FILES:
        module, _, _ = module.rpartition(".")
    return FILES[module]


def test_every_file_is_in_the_table() -> None:
    assert {place_of(path) for path in trees()} == CORE | FRONT | SATELLITES


def test_the_core_imports_no_satellite() -> None:
    """Not inside a function, under TYPE_CHECKING or by `import_module` either: it calls what `extensions` holds."""
    wrong = []
    for path, tree in trees().items():
        if place_of(path) in CORE:
            for module, line in imports(tree):
                if module.startswith("gatewise.") and place_of(file_of(module)) not in CORE:
                    wrong.append(f"{path}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)
