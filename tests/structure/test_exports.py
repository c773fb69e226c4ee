"""A package lists the names that it re-exports in `__all__`; each `__all__` is complete; public names have docs."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from source_tree import trees

# The program's entry point, which no module imports.
NO_EXPORTS = {Path("__main__.py")}
MODULES = [path for path in trees() if path not in NO_EXPORTS]


def listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return None


def public(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    nodes = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return [node for node in nodes if not node.name.startswith("_")]


def handed_over(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Registered by a decorator of the command line, so that no module calls it by name."""
    return any(ast.unparse(decorator).startswith("app.") for decorator in node.decorator_list)


def reexported(tree: ast.Module) -> set[str]:
    """The names that a module imports from the package and does not use itself."""
    nodes = [
        node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gatewise")
    ]
    imported = {alias.asname or alias.name for node in nodes for alias in node.names}
    return imported - {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_a_package_lists_the_names_that_it_reexports() -> None:
    packages = {path: tree for path, tree in trees().items() if path.name == "__init__.py"}
    missing = {
        str(path): sorted(names)
        for path, tree in packages.items()
        if (names := reexported(tree) - set(listed(tree) or []))
    }
    assert not missing, f"not in __all__: {missing}"
    assert listed(packages[Path("__init__.py")]), "the names of `import gatewise as gw`"
    assert "LSTMCall" in reexported(packages[Path("kernels/__init__.py")])
    code = "from gatewise.cell import step\nfrom gatewise.errors import quote\nprint(quote(1))\n"
    assert reexported(ast.parse(code)) == {"step"}


def test_all_names_public_things_once() -> None:
    """Its order is ruff's affair (RUF022): constants, classes, functions, each by the alphabet."""
    for path, tree in trees().items():
        names = listed(tree)
        if names is not None:
            assert len(set(names)) == len(names), path
            private = [name for name in names if name.startswith("_") and name != "__version__"]
            assert not private, f"{path}: {private} are private and exported"
            missing = [node.name for node in public(tree) if node.name not in names and not handed_over(node)]
            assert not missing, f"{path}: {missing} are public and not in __all__: add them, or begin them with '_'"


def test_every_exported_name_exists() -> None:
    for path in MODULES:
        module = importlib.import_module(".".join(("gatewise", *path.with_suffix("").parts)).removesuffix(".__init__"))
        absent = [name for name in listed(trees()[path]) or [] if not hasattr(module, name)]
        assert not absent, f"{path}: __all__ names {absent}, which are not there"


def test_every_public_thing_has_a_docstring() -> None:
    for path, tree in trees().items():
        assert ast.get_docstring(tree), f"{path} has no docstring"
        bare = [node.name for node in public(tree) if not ast.get_docstring(node)]
        assert not bare, f"{path}: {bare} have no docstring"


@pytest.mark.parametrize("name", ["gatewise", *(f"gatewise.{one}" for one in ("data", "explain", "nn", "sklearn"))])
def test_every_public_function_has_an_example(name: str) -> None:
    module = importlib.import_module(name)
    found = {one: getattr(module, one) for one in module.__all__}
    bare = [one for one, thing in found.items() if inspect.isfunction(thing) and ">>> " not in str(thing.__doc__)]
    assert bare == []
