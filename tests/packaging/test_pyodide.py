"""The wheel without the native kernel in Pyodide, the CPython of browsers: it computes what this Python computes.

GATEWISE_NODE_MODULES names a node_modules with pyodide (`npm install pyodide`). Other packages come from Pyodide's
index and from PyPI. GATEWISE_PYODIDE_PACKAGES may name a folder with wheels in place of both: numpy, micropip, click,
rich, markdown-it-py, mdurl, pygments, threadpoolctl. With scipy, the default recipe is trained too.
"""

import base64
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.javascript import in_node, page_over
from tests.packaging.building import ROOT, build

MODULES = os.environ.get("GATEWISE_NODE_MODULES")
PACKAGES = os.environ.get("GATEWISE_PYODIDE_PACKAGES")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        MODULES is None or not (Path(MODULES) / "pyodide").exists(),
        reason="GATEWISE_NODE_MODULES names no node_modules with pyodide",
    ),
]

TEXTS = ["A film to see twice.", "Not good, and far too long!", "Cafe\u0301 <br /> 電影 flim", "bad " * 30]
ROWS = [f"{'good' if n % 3 else 'bad'} film number {n}" for n in range(60)]
LABELS = ["yes" if n % 3 else "no" for n in range(60)]
# In Pyodide and here. Where SciPy is missing, the tutorial's network is trained, which needs its name alone.
CODE = """
import base64, io, json, sys, types, warnings, zipfile
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
import gatewise as gw
from gatewise.explain.attribution import METHODS
without_scipy = find_spec("scipy") is None
if without_scipy:
    sys.modules["scipy"] = types.ModuleType("scipy")
    sys.modules["scipy"].__spec__ = ModuleSpec("scipy", None)
warnings.simplefilter("ignore")  # that the native kernel is missing
found = {"platform": sys.platform, "tokenizers": find_spec("tokenizers") is not None}
for name in ("sentiment", "tutorial"):
    model = gw.load(name if name == "tutorial" else "bundled")
    found[name] = model.predict_proba(texts).tolist()
    explanations = [model.explain(text) for text in texts]
    found[name + " scores"] = [one.scores.tolist() for one in explanations]
zipfile.ZipFile(io.BytesIO(base64.b64decode(formats))).extractall(folder)
expected = json.load(open(f"{folder}/expected.json"))
for name, inputs in (("3-text", expected["texts"]), ("3-series", expected["series"])):
    model = gw.load(f"{folder}/{name}")
    found[name] = model.predict_proba(inputs).tolist()
    for method in METHODS:
        found[f"{name} {method}"] = [model.explain(one, method=method).scores.tolist() for one in inputs]
folder += "/trained"
options = {"units": 4, "embedding_dim": 4, "epochs": 2, "verbose": 0, "overwrite": True, "out": folder}
recipes = [{"recipe": "tutorial", "max_length": 8}, {}][: 1 if without_scipy else 2]
for recipe in recipes:
    gw.train(rows, labels, **options, **recipe)
    found[f"trained {recipe}"] = gw.load(folder).predict_proba(rows).tolist()
answer = json.dumps(found)
answer
"""
RUN = """
async (loadPyodide, { local, packages, wheel, name, given, code }) => {
    const py = await loadPyodide();
    const names = local ? packages : ["numpy", "micropip", "scipy", "threadpoolctl"];
    await py.loadPackage(names, { checkIntegrity: !local });
    py.FS.writeFile(`/tmp/${name}`, wheel);
    await py.pyimport("micropip").install(`emfs:/tmp/${name}`);
    return py.runPython(code, { globals: py.toPy({ ...given, folder: "/tmp/model" }) });
}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = build("wheel", tmp_path_factory.mktemp("pure"), GATEWISE_PURE="1")
    assert made.name.endswith("-py3-none-any.whl")
    return made


def run_in_node(root: Path, given: dict[str, Any]) -> str:
    """The answer of `RUN` in Node."""
    (root / "given.json").write_text(json.dumps(given))
    code = (
        'import { readFileSync } from "node:fs"; import { loadPyodide } from "pyodide";'
        'const given = JSON.parse(readFileSync("given.json")), wheel = readFileSync(given.name);'
        f"const answer = await ({RUN})(loadPyodide, {{ ...given, wheel }}); console.log(answer);"
    )
    return in_node(root, code).splitlines()[-1]


def run_in_chromium(root: Path, given: dict[str, Any]) -> str:
    """The answer of `RUN` in a page."""
    with page_over(root) as page:
        answer = page.evaluate(
            f"""async (given) => {{
                const {{ loadPyodide }} = await import("/node_modules/pyodide/pyodide.mjs");
                const wheel = new Uint8Array(await (await fetch(given.name)).arrayBuffer());
                return ({RUN})(loadPyodide, {{ ...given, wheel }});
            }}""",
            given,
        )
    return str(answer)


@pytest.mark.parametrize("run", [run_in_node, run_in_chromium])
def test_the_numbers_are_those_of_this_python(run: Any, wheel: Path, tmp_path: Path) -> None:
    assert MODULES is not None
    (tmp_path / "node_modules").symlink_to(Path(MODULES).resolve())
    shutil.copy(wheel, tmp_path)
    names = [shutil.copy(one, tmp_path) for one in Path(PACKAGES).glob("*.whl")] if PACKAGES else []
    packages = [Path(name).name if run is run_in_node else f"/{Path(name).name}" for name in names]
    archive = shutil.make_archive(str(tmp_path / "formats"), "zip", ROOT / "tests" / "model" / "formats")
    formats = base64.b64encode(Path(archive).read_bytes()).decode()
    data = {"texts": TEXTS, "rows": ROWS, "labels": LABELS, "formats": formats}
    given = {"local": bool(PACKAGES), "packages": packages, "name": wheel.name, "given": data, "code": CODE}
    found = json.loads(run(tmp_path, given))
    assert found.pop("platform") == "emscripten"
    assert not found.pop("tokenizers")
    here: dict[str, Any] = {**data, "folder": str(tmp_path / "model")}
    exec(CODE, here)
    wanted = json.loads(here["answer"])
    assert found.keys() >= {"sentiment", "sentiment scores", "tutorial", "3-series integrated-gradients"}
    for name, numbers in found.items():
        for one, other in zip(numbers, wanted[name], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=name)
