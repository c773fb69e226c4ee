"""The core imports no satellite; the table "Core and satellites" of CONTRIBUTING.md says which is which."""

import ast
import re
from fnmatch import fnmatchcase
from importlib import import_module
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


# Packages of tools: each module is a tool of its own, and all its names are for everybody.
TOOLS = {"storage", "system"}
# The modules of core packages that a row of the table imports besides the public names of the packages, and why.
BESIDES_PUBLIC_NAMES: dict[str, tuple[str, str]] = {
    "bulk": (
        "data.frames data.inputs data.row_columns data.row_reader data.tables model.bundled model.model",
        "it reads tables and frames as the core does, row by row",
    ),
    "exchange": (
        "members.encoded_sequence members.graph_axes members.member members.onnx.columns members.onnx.graph "
        "members.onnx.lstm members.onnx.network members.onnx.operations model.compress model.preprocessor "
        "model.step_rule network.batch network.cells network.forward network.graph network.graph_builder "
        "network.graph_file network.input_ids network.input_ranges network.lengths_input network.merge_mode "
        "network.operation network.operations network.operations.loop network.operations.recurrent "
        "network.operations.top_k network.ops network.pooling network.recognise network.recognised_layers "
        "network.recurrent_loops network.roll network.rule_table network.series network.size network.trainable_graph "
        "network.weight_layouts network.windows target.of_outputs text.tokens",
        "members add their own nodes to an ONNX graph; a network that is read becomes a graph of the core",
    ),
    "forecast": (
        "data.cells data.frames data.tables data.times members.encoded_sequence members.window_lstm "
        "members.windows model.card model.folder training.fields training.forecast_members training.recipe_fields",
        "a forecaster has members on windows, which the core fits, and is stored as a model is",
    ),
    "mlflow": ("data.row_columns model.model training.fields training.progress", "it logs what a callback shows"),
    "nn": (
        "kernels.call kernels.interface kernels.native kernels.saved_activations members.ngrams "
        "members.onnx.graph network.architecture "
        "network.cells network.graph network.operation network.operations.relu network.size network.trainable_graph "
        "network.windows network.weight_layouts",
        "its modules run the kernel with gradients, and hold the weights of members",
    ),
    "serve": (
        "data.row_columns data.schema data.times explain.attribution explain.explanation explain.opening "
        "explain.render.html explain.render.script explain.serialize kernels.native kernels.threads members.clamp "
        "members.encoded_batch members.recurrent_layer model.bundled model.compress model.input_format model.model "
        "model.streams",
        "the page shows what the HTML report shows, from the same data and modules",
    ),
    "tune": (
        "training.fields training.plan training.pretrained training.recipe_fields training.run training.stack "
        "training.train training.training_data",
        "a search binds a plan once and runs it with other recipes",
    ),
}


def satellite_of(path: Path) -> str:
    return next(name for name, entries in ROWS.items() if place_of(path) in entries)


def imports_of_core_modules(path: Path, tree: ast.Module) -> list[tuple[str, str, int]]:
    """The module, the name and the line of what a file imports from inside a package of the core."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gatewise."):
            for alias in node.names:
                module = node.module
                if f"{module}.{alias.name}" in FILES:
                    module = f"{module}.{alias.name}"
                inside = module.removeprefix("gatewise.")
                package = inside.partition(".")[0]
                if place_of(FILES[module]) in CORE and "." in inside and package not in TOOLS:
                    found.append((inside, alias.name, node.lineno))
    return found


def test_satellites_import_the_public_names_of_the_core() -> None:
    wrong, used = [], {name: set[str]() for name in ROWS}
    for path, tree in trees().items():
        if place_of(path) not in SATELLITES:
            continue
        satellite = satellite_of(path)
        for module, name, line in imports_of_core_modules(path, tree):
            used[satellite].add(module)
            package = import_module(f"gatewise.{module.partition('.')[0]}")
            value = getattr(import_module(f"gatewise.{module}"), name, None)
            if name in getattr(package, "__all__", ()) and getattr(package, name) is value:
                wrong.append(f"{path}:{line}: {name} is public: import it from {package.__name__}")
    assert not wrong, "\n".join(wrong)
    assert used == {name: set(BESIDES_PUBLIC_NAMES[name][0].split()) for name in ROWS}
