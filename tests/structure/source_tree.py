"""The package's source as syntax trees, for the tests of its structure."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "gatewise"


@cache
def trees() -> dict[Path, ast.Module]:
    """Every Python file of the package, by its path from src/gatewise."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20, "the package is not where the tests look for it"
    return {path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in files}


def imports(tree: ast.AST) -> list[tuple[str, int]]:
    """Every module that is imported anywhere in `tree`, inside functions too, with its line."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write it out"
            assert node.module is not None
            if node.module == "gatewise":
                found += [(f"gatewise.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((node.module, node.lineno))
    return found


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


def imported_modules(tree: ast.AST, modules: set[str]) -> set[str]:
    """Those of `modules` that `tree` imports: `from package import name` is the submodule where there is one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules
            found |= {node.module} if names - modules and node.module else set()
    return found & modules
