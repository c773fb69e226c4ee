"""Each `__all__` is complete, and functions have examples; ruff checks that its names exist and have docstrings."""

import ast
import importlib
import inspect

import pytest
from source_tree import PACKAGE, module_of, trees


def listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            elements = node.value.elts if isinstance(node.value, ast.List) else []
            return [one.value for one in elements if isinstance(one, ast.Constant)] or None
    return None


def public(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    nodes = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return [node for node in nodes if not node.name.startswith("_")]


def test_all_names_public_things_once() -> None:
    """Its order is ruff's affair (RUF022): constants, classes, functions, each by the alphabet."""
    for path, tree in trees().items():
        names = listed(tree)
        if names is not None:
            assert len(set(names)) == len(names), path
            private = [name for name in names if name.startswith("_") and name != "__version__"]
            assert not private, f"{path}: {private} are private and exported"
            missing = [node.name for node in public(tree) if node.name not in names]
            assert not missing, f"{path}: {missing} are public and not in __all__: add them, or begin them with '_'"


# By their text: the syntax trees of the package take seconds, in each process that collects this test.
LAZY = {
    module_of(path.relative_to(PACKAGE)): path.relative_to(PACKAGE)
    for path in sorted(PACKAGE.rglob("__init__.py"))
    if "\ndef __getattr__(" in path.read_text(encoding="utf-8")
}


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_package_shows_its_public_names(name: str) -> None:
    """An editor and `dir` show what `__getattr__` imports, and nothing else."""
    package = importlib.import_module(name)
    assert sorted(dir(package)) == sorted(package.__all__)
    assert all(getattr(package, public) is not None for public in package.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize("name", LAZY)
def test_type_checkers_see_the_names_of_a_lazy_package(name: str) -> None:
    """The imports under TYPE_CHECKING are those of `__getattr__`, so that the tests of imports count them."""
    package, checked = importlib.import_module(name), set()
    tree = trees()[LAZY[name]]
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            checked = {alias.asname for each in node.body if isinstance(each, ast.ImportFrom) for alias in each.names}
    at_import = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {public for public in package.__all__ if public not in at_import | {"Encoding"}} <= checked


@pytest.mark.parametrize("name", ["gatewise", *(f"gatewise.{one}" for one in ("data", "explain", "nn", "sklearn"))])
def test_every_public_function_has_an_example(name: str) -> None:
    module = importlib.import_module(name)
    found = {one: getattr(module, one) for one in module.__all__}
    bare = [one for one, thing in found.items() if inspect.isfunction(thing) and ">>> " not in str(thing.__doc__)]
    assert bare == []
