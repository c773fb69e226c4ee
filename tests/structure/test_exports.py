"""Each `__all__` is complete, and functions have examples; ruff checks that its names exist and have docstrings."""

import ast
import importlib
import inspect

import pytest
from source_tree import trees


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


@pytest.mark.parametrize("name", ["gatewise", *(f"gatewise.{one}" for one in ("data", "explain", "nn", "sklearn"))])
def test_every_public_function_has_an_example(name: str) -> None:
    module = importlib.import_module(name)
    found = {one: getattr(module, one) for one in module.__all__}
    bare = [one for one, thing in found.items() if inspect.isfunction(thing) and ">>> " not in str(thing.__doc__)]
    assert bare == []
