"""The package's source as syntax trees, for the tests of its structure."""

import ast
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "gatewise"

_PUBLIC_NAMES = "public names are imported on first use; the same imports stand under TYPE_CHECKING"
COMPUTED_IMPORTS: dict[str, tuple[str, str]] = {
    "__init__.py": ("", _PUBLIC_NAMES),
    "data/__init__.py": ("", _PUBLIC_NAMES),
    "exchange/__init__.py": ("", _PUBLIC_NAMES),
    "explain/__init__.py": ("", _PUBLIC_NAMES),
    "members/__init__.py": ("", _PUBLIC_NAMES),
    "model/__init__.py": ("", _PUBLIC_NAMES),
    "text/__init__.py": ("", _PUBLIC_NAMES),
    "training/__init__.py": ("", _PUBLIC_NAMES),
    "cli/__init__.py": ("gatewise.cli.*", "a command is imported when it runs"),
    "exchange/keras_backend.py": ("", "a module of Keras, or of its backend, that may be missing in a version of it"),
    "members/kinds.py": (
        "gatewise.members.[!ekm]* gatewise.members.ets",
        "a kind of member is imported when a model has one; ensemble, kinds and member stand above or below them",
    ),
    "text/kinds.py": ("gatewise.text.*", "an encoding is imported when a model has it"),
    "training/fit.py": ("gatewise.training.members.*", "each kind of member has a module with its fit"),
    "explain/attribution/__init__.py": (
        "gatewise.explain.attribution.*_*",
        "a method is imported when it explains; the other modules of the package have names of one word",
    ),
    "network/operations/__init__.py": ("gatewise.network.operations.*", "an operation is imported when a graph has it"),
    "errors.py": ("", "a package that an extra installs: `required` says what to install"),
    "system/files.py": ("", "fcntl or msvcrt: each system has one of them"),
}
"""The files that import a module whose name is computed: the modules of gatewise that these can be, as patterns of
`fnmatch`, and the reason.
"""


@cache
def trees() -> dict[Path, ast.Module]:
    """Every Python file of the package, by its path from src/gatewise."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20, "the package is not where the tests look for it"
    return {path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in files}


def imports(tree: ast.AST) -> list[tuple[str, int]]:
    """Every module that is imported anywhere in `tree`, inside functions and by `import_module` too, with its line. The
    names that `import_module` computes are in `COMPUTED_IMPORTS`.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_import_module(node):
            found += [(name, node.lineno) for name in constant_names(node)]
        elif isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write it out"
            assert node.module is not None
            if node.module == "gatewise":
                found += [(f"gatewise.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((node.module, node.lineno))
    return found


def is_import_module(call: ast.Call) -> bool:
    """Whether it is a call of `importlib.import_module`, whatever name the module is imported by."""
    return ast.unparse(call.func).rpartition(".")[2] in ("import_module", "__import__")


def constant_names(call: ast.Call) -> list[str]:
    """The module that a call of `import_module` names as a constant, if it does."""
    [name, *_] = call.args
    return [name.value] if isinstance(name, ast.Constant) and isinstance(name.value, str) else []


def imports_at_import_time(tree: ast.Module) -> list[tuple[str, int]]:
    """Those that run when the module is imported: not inside a function, not for the type checker alone."""
    found: list[tuple[str, int]] = []
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            stack += node.orelse
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += imports(node)
        stack += ast.iter_child_nodes(node)
    return found


def imported_modules(path: Path, tree: ast.AST, modules: set[str]) -> set[str]:
    """Those of `modules` that a file imports: `from package import name` is the submodule where there is one. What
    `COMPUTED_IMPORTS` allows a file counts as imported by it.
    """
    patterns, _ = COMPUTED_IMPORTS.get(path.as_posix(), ("", ""))
    found = {module for pattern in patterns.split() for module in modules if fnmatchcase(module, pattern)}
    found.discard(module_of(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_import_module(node):
            found |= set(constant_names(node))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules
            found |= {node.module} if names - modules and node.module else set()
    return found & modules


def module_of(path: Path) -> str:
    """The name by which a file of the package is imported."""
    return ".".join(("gatewise", *path.with_suffix("").parts)).removesuffix(".__init__")
