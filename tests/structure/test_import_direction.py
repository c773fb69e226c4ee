"""Imports go down: the levels are the table "Package levels" of CONTRIBUTING.md, and no import closes a circle."""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

from source_tree import (
    COMPUTED_IMPORTS,
    ROOT,
    constant_names,
    imported_modules,
    imports,
    imports_at_import_time,
    is_import_module,
    module_of,
    trees,
)

SERVE = {"fastapi", "httptools", "prometheus_client", "pydantic", "pydantic_core", "starlette", "uvicorn", "websockets"}
MOST_LEVELS = 11


def levels() -> list[set[str]]:
    """The units of each row of the table in CONTRIBUTING.md, from the top level to the bottom level."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Package levels")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [set(re.findall(r"`([\w.]+)`", row)) for row in rows]


LEVEL = {unit.removesuffix(".py"): level for level, units in enumerate(levels()) for unit in units}


def unit_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def test_the_table_names_every_unit_once() -> None:
    found = {unit_of(path) for path in trees()} - {"__main__"}
    named = [unit.removesuffix(".py") for units in levels() for unit in units]
    assert sorted(named) == sorted(found), "the table Package levels in CONTRIBUTING.md and src/gatewise differ"
    assert len(levels()) <= MOST_LEVELS


def test_imports_go_down() -> None:
    wrong = []
    for path, tree in trees().items():
        unit = unit_of(path)
        if unit == "__main__":
            continue
        for module, line in imports(tree):
            if not module.startswith("gatewise."):
                continue
            target = module.split(".")[1]
            if target not in (unit, "types") and LEVEL.get(target, -1) <= LEVEL[unit]:
                wrong.append(f"{path}:{line} imports {module}, which is not on a level below {unit}")
    assert not wrong, "\n".join(wrong)


def test_no_imports_form_a_circle() -> None:
    """Every import counts, inside functions, under TYPE_CHECKING and by `import_module` too; a circle is a CycleError
    that shows it.
    """
    modules = {module_of(path) for path in trees()}
    found = {module_of(path): imported_modules(path, tree, modules) for path, tree in trees().items()}
    del found["gatewise"]  # it shows every public name, and no module imports it
    TopologicalSorter(found).prepare()


def test_computed_imports_are_listed() -> None:
    """`import_module` of a computed name hides an import from the other tests, so each has a reason."""
    computing = set()
    for path, tree in trees().items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and is_import_module(node)]
        if any(not constant_names(call) for call in calls):
            computing.add(path.as_posix())
    assert computing == set(COMPUTED_IMPORTS)


def test_import_module_counts_as_an_import() -> None:
    """In each form in which it can be written, and with a constant name in place of a statement."""
    forms = ("import_module({})", "importlib.import_module({})", "il.import_module({}, 'x')", "__import__({})")
    for form in forms:
        tree = ast.parse(f"def later():\n    return {form.format(repr('gatewise.explain.render.html'))}.result_html")
        assert imports(tree) == [("gatewise.explain.render.html", 2)]
        assert imported_modules(Path("x.py"), tree, {"gatewise.explain.render.html"}) == {
            "gatewise.explain.render.html"
        }


def _needs_torch(path: Path) -> bool:
    """Whether a file is imported only where torch is: those of nn, and the reader of modules of PyTorch."""
    return unit_of(path) == "nn" or (path.parent == Path("exchange") and path.name.startswith("torch_"))


def test_torch_is_for_nn_and_for_several_processes() -> None:
    wrong = []
    for path, tree in trees().items():
        if not _needs_torch(path) and path != Path("training/processes.py"):
            wrong += [f"{path}:{line}" for module, line in imports(tree) if module.split(".")[0] == "torch"]
    assert not wrong, "\n".join(wrong)


def test_only_base_dependencies_are_imported_without_asking() -> None:
    """What an extra brings is imported inside the function that needs it: the base install can do all the rest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {requirement.split(">")[0] for requirement in project["dependencies"]} | {"gatewise"}
    assert "numpy" in base
    wrong = []
    for path, tree in trees().items():
        allowed = base | ({"torch"} if _needs_torch(path) else set())
        allowed |= {"sklearn"} if unit_of(path) == "sklearn" else set()  # its class is made from scikit-learn's
        allowed |= SERVE if unit_of(path) == "serve" else set()  # nothing imports it but the command that serves
        for module, line in imports_at_import_time(tree):
            top = module.split(".")[0]
            if top not in allowed and top not in sys.stdlib_module_names:
                wrong.append(f"{path}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)
