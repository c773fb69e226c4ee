"""The house has one direction: a module imports only what stands on a lower floor."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from source_tree import ROOT, imports, imports_at_import_time, trees

# From the roof to the ground. Those on one floor do not know each other.
FLOORS = [
    {"cli"},
    {"estimators", "serve"},
    {"training"},
    {"calibrate", "shrink"},
    {"model"},
    {"model_files"},
    {"card", "data", "encoder", "glassbox", "nn"},
    {"base"},
    {"gradient", "inference"},
    {"network"},
    {"batch", "ngrams", "node", "ops"},
    {"architecture", "kernels", "series", "storage", "text"},
    {"labelled", "strict_json", "verdict", "weights"},
    {"box", "calibration", "cell", "ragged"},
    {"errors", "markdown", "openmp"},
]
FLOOR = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}

SERVE = {"fastapi", "httptools", "prometheus_client", "starlette", "uvicorn"}
WITH_TORCH = {"nn", "training"}


def unit_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def test_every_module_has_its_floor() -> None:
    found = {unit_of(path) for path in trees()} - {"__init__", "__main__"}
    assert found <= set(FLOOR), f"put {sorted(found - set(FLOOR))} on a floor in {Path(__file__).name}"


def test_imports_go_down() -> None:
    wrong = []
    for path, tree in trees().items():
        unit = unit_of(path)
        if unit in ("__init__", "__main__"):  # the front door shows all that there is
            continue
        for module, line in imports(tree):
            if not module.startswith("gatewise.") or module == "gatewise.__version__":
                continue
            target = module.split(".")[1]
            if target != unit and FLOOR.get(target, -1) <= FLOOR.get(unit, -1):
                wrong.append(f"{path}:{line} imports {module}, which does not stand below {unit}")
    assert not wrong, "\n".join(wrong)


def test_a_wrong_import_would_be_found() -> None:
    assert FLOOR["storage"] > FLOOR["model"] > FLOOR["training"] > FLOOR["cli"]
    assert FLOOR["network"] > FLOOR["nn"], "nn may import network, network must not import nn"
    assert any(module == "gatewise.kernels" for module, _ in imports(trees()[Path("ops.py")]))


def test_torch_is_for_nn_and_training_alone() -> None:
    wrong = []
    for path, tree in trees().items():
        if unit_of(path) not in WITH_TORCH:
            wrong += [f"{path}:{line}" for module, line in imports(tree) if module.split(".")[0] == "torch"]
    assert not wrong, "\n".join(wrong)


def test_only_base_dependencies_are_imported_without_asking() -> None:
    """What an extra brings is imported inside the function that needs it: the base install can do all the rest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {requirement.split(">")[0] for requirement in project["dependencies"]} | {"gatewise"}
    assert "numpy" in base
    wrong = []
    for path, tree in trees().items():
        allowed = base | ({"torch"} if unit_of(path) in WITH_TORCH else set())
        allowed |= {"sklearn"} if unit_of(path) == "estimators" else set()  # its class is made from scikit-learn's
        allowed |= SERVE if unit_of(path) == "serve" else set()  # nothing imports it but the command that serves
        for module, line in imports_at_import_time(tree):
            top = module.split(".")[0]
            if top not in allowed and top not in sys.stdlib_module_names:
                wrong.append(f"{path}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)
