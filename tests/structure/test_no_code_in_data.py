"""No file that gatewise reads can make it run code: what could do that is not in the package at all."""

import ast

from source_tree import imports, trees

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml", "code"}
MODULES |= {"codeop", "runpy", "jinja2", "mako", "imp", "pty"}
CALLS = {"eval", "exec", "compile", "__import__", "execfile", "setattr", "globals"}
ATTRIBUTES = {("torch", "load"), ("torch", "save"), ("torch.hub", "load"), ("numpy", "fromfile"), ("os", "system")}
ATTRIBUTES |= {("os", "popen"), ("os", "execv"), ("tarfile", "extractall"), ("shutil", "unpack_archive")}
METHODS = {"extractall", "read_pickle", "to_pickle", "load_module", "exec_module", "unsafe_load"}


def dangers(tree: ast.AST) -> list[str]:
    """What in `tree` can turn data into code, each with its line."""
    found = [f"{line}: import {m}" for m, line in imports(tree) if m in MODULES or m.split(".")[0] in MODULES]
    aliases = {"np": "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.append(f"{node.lineno}: {node.func.id}()")
        if isinstance(node, ast.ImportFrom):
            found += [f"{node.lineno}: {a.name}" for a in node.names if (node.module, a.name) in ATTRIBUTES]
        if isinstance(node, ast.Attribute) and node.attr in METHODS | {name for _, name in ATTRIBUTES}:
            owner = ast.unparse(node.value)
            if (aliases.get(owner, owner), node.attr) in ATTRIBUTES or node.attr in METHODS:
                found.append(f"{node.lineno}: {owner}.{node.attr}")
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
            value = ast.unparse(node.value)
            found += [f"{node.value.lineno}: {node.arg}={value}"] if value != "False" else []
        is_load = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "load"
        if isinstance(node, ast.Call) and is_load and ast.unparse(node.func) in ("np.load", "numpy.load"):
            plain = all(keyword.arg != "allow_pickle" for keyword in node.keywords)
            found += [f"{node.lineno}: np.load without allow_pickle=False"] if plain else []
    return found


def test_nothing_in_the_package_runs_what_it_reads() -> None:
    assert {str(path): found for path, tree in trees().items() if (found := dangers(tree))} == {}


DANGEROUS = """
import pickle
import pickle as p
from pickle import loads
import joblib.numpy_pickle
import yaml
eval('1')
exec(text)
torch.load(path, weights_only=True)
from torch import load
np.load(path)
np.load(path, allow_pickle=True)
archive.extractall(folder)
os.system('ls')
subprocess.run(x, shell=True)
setattr(config, key, value)
"""


def test_the_test_would_find_it() -> None:
    for line in DANGEROUS.strip().splitlines():
        assert dangers(ast.parse(f"def f():\n    {line}")) != [], line
