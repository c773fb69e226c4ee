"""The built wheel, away from the tree: in an empty environment with the base dependencies alone, so without torch.

Its bill of materials names what is in it: what the kernel was compiled from, the model, the dependencies. All tests of
the wheel are in this file, so that one process builds it.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from gatewise import __version__
from gatewise.model import bundled
from tests.children import run_child
from tests.packaging.building import ROOT, build, run
from tools.sbom import bill, text_of, unlisted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tree as it is."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that holds the wheel and its base dependencies."""
    home = tmp_path_factory.mktemp("empty") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", home])
    # Not compiled: Python compiles the few modules that the tests import, pip all of NumPy.
    options = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    run([sys.executable, "-m", "pip", "--python", home, "install", *options, wheel])
    return home / "bin" / "python"


@pytest.fixture(scope="module")
def model() -> tuple[Path, list[list[float]], list[str]]:
    """A stored model, with its predictions for two texts."""
    folder = ROOT / "tests" / "model" / "formats"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return folder / "3-text", expected["3-text"], expected["texts"]


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def bundled_files(package: str) -> set[str]:
    """The files of the bundled model in `package`."""
    return {f"{package}/model/bundled/{bundled.NAME}/{file.name}" for file in bundled.FOLDER.glob("*")}


def test_what_the_wheel_holds(wheel: Path) -> None:
    names = names_in(wheel)
    tracked = run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/gatewise"], cwd=ROOT
    ).splitlines()
    source = {name.removeprefix("src/") for name in tracked if (ROOT / name).is_file()} | bundled_files("gatewise")
    assert source <= set(names), "every file of the package, py.typed included"
    native = {name for name in names if name.startswith("gatewise/kernels/_native") and name.endswith(".so")}
    assert len(native) == 1
    info = {name for name in names if ".dist-info/" in name}
    # nanobind and robin-map are compiled into the kernel, and their licences must come with it.
    licenses = {name.partition(".dist-info/licenses/")[2] for name in info if ".dist-info/licenses/" in name}
    assert licenses == {"LICENSE", "licenses/nanobind.txt", "licenses/robin-map.txt"}
    with zipfile.ZipFile(wheel) as archive:
        for name, owner in (("nanobind", b"Wenzel Jakob"), ("robin-map", b"Thibaut Goetghebuer-Planchon")):
            (path,) = (one for one in info if one.endswith(f"/{name}.txt"))
            assert owner in archive.read(path)
    assert {name.partition(".dist-info/sboms/")[2] for name in info if "/sboms/" in name} == {"native.cdx.json"}
    assert set(names) == source | native | info, "and nothing else: no test, no C++, no stray build product"


def test_the_source_archive_can_be_built_from(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    native = {f"src/native/{path.name}" for path in (ROOT / "src" / "native").iterdir() if path.is_file()}
    assert native
    expected = {"CMakeLists.txt", "LICENSE", "licenses/nanobind.txt", "README.md", "pyproject.toml"}
    assert expected | {"src/gatewise/cell.py"} | native | bundled_files("src/gatewise") <= names
    starts, ends = (".venv", "build/", "tests/"), (".so", ".pyc")
    assert not [name for name in names if name.endswith(ends) or name.startswith(starts)]


def test_it_has_the_kernel_and_needs_no_torch(python: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u; from gatewise import explain, data, kernels as k; import gatewise.model.model; "
    code += "print(k.__file__, k.get().name, k.unavailable_reason('native'), u.find_spec('torch'))"
    out = run([python, "-W", "error", "-c", code], cwd=tmp_path)
    assert str(ROOT) not in out, "that is the tree's own package"
    assert out.split()[1:] == ["native", "None", "None"]


def test_predictions_without_torch(
    python: Path, tmp_path: Path, model: tuple[Path, list[list[float]], list[str]]
) -> None:
    path, expected, texts = model
    code = "import json, sys, gatewise as gw; m = gw.load(sys.argv[1]); p = m.predict_proba(sys.argv[2:])"
    out = run([python, "-W", "error", "-c", f"{code}; print(json.dumps(p.tolist()))", path, *texts], cwd=tmp_path)
    assert json.loads(out) == [pytest.approx(row, abs=2e-6) for row in expected]
    prediction = run([python.parent / "gatewise", "predict", "-m", path, *texts], cwd=tmp_path)
    assert prediction.startswith("worse")
    run([python.parent / "gatewise", "explain", "-m", path, texts[0]], cwd=tmp_path)
    bundled_prediction = run([python.parent / "gatewise", "predict", "A warm, funny and honest film."], cwd=tmp_path)
    assert bundled_prediction.startswith("positive\t")


def test_without_an_extra_a_command_says_what_to_install(
    python: Path, tmp_path: Path, model: tuple[Path, list[list[float]], list[str]]
) -> None:
    (tmp_path / "reviews.csv").write_text("text,label\n" + "good,1\nbad,0\n" * 20)
    train = ("train", "reviews.csv", "--text", "text", "--label", "label", "-o", "model")
    for extra, words in (("serve", ("serve", "-m", str(model[0]))), ("train", train)):
        command = [str(python.parent / "gatewise"), *words]
        done = run_child(command, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert f"pip install 'gatewise[{extra}]'" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "model").exists()


def test_without_a_compiler_the_install_goes_on_and_says_what_is_lost(
    python: Path, tmp_path: Path, model: tuple[Path, list[list[float]], list[str]]
) -> None:
    """As on a machine without g++: the wheel has no kernel, the reference runs, and a command says so in one line."""
    made = build("wheel", tmp_path, "-C", f"build-dir={tmp_path}/build", CC="/bin/false", CXX="/bin/false")
    assert "WITHOUT its native kernel" in (tmp_path / "build.txt").read_text(), "pip -v shows it"
    assert not [name for name in names_in(made) if name.endswith(".so")]
    home = tmp_path / "installed"
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", home, made])
    code = "import json; from gatewise import kernels as k; "
    code += "print(json.dumps([k.__file__, k.get().name, k.unavailable_reason('native')]))"
    out = run([python, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(home)})
    path, kernel, reason = json.loads(out)
    assert path.startswith(str(home))
    assert kernel == "reference"
    assert "not installed" in reason, "`gatewise info` must be able to show the reason"
    path_of_model, _, texts = model
    command = [str(python), "-m", "gatewise", "predict", "-m", str(path_of_model), *texts]
    environment = {**os.environ, "PYTHONPATH": str(home), "PYTHONWARNINGS": "error"}  # no traceback in its place
    done = run_child(command, cwd=tmp_path, env=environment)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, len(texts))
    [line] = done.stderr.splitlines()
    assert line.startswith("gatewise: warning: the native kernel cannot run here (")
    assert "using the reference kernel, which is far slower" in line


def embedded(wheel: Path) -> str:
    """The bill inside the wheel (PEP 770)."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if ".dist-info/sboms/" in name]
        assert name.endswith("/native.cdx.json")
        return archive.read(name).decode()


def files_of(document: dict[str, Any]) -> dict[str, str]:
    """SHA-256 by path."""
    parts = [file for part in document["components"] for file in part.get("components", ())]
    return {file["name"]: file["hashes"][0]["content"] for file in parts}


def test_it_is_valid_and_equal_each_time(wheel: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator  # its import takes seconds, in each process that collects

    text = text_of(bill(wheel))
    assert text == text_of(bill(wheel))
    for one in (text, embedded(wheel)):
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(one) is None
        assert str(ROOT) not in one
        assert "timestamp" not in one


def test_the_wheel_names_what_is_compiled_into_its_kernel(wheel: Path) -> None:
    document = json.loads(embedded(wheel))
    assert document["metadata"]["component"]["version"] == __version__
    parts = {part["name"]: part for part in document["components"]}
    assert set(parts) == {path.stem for path in (ROOT / "licenses").glob("*.txt")}, "each has its licence"
    assert parts["nanobind"]["version"] == version("nanobind")
    assert re.fullmatch(r"\d+\.\d+\.\d+", parts["robin-map"]["version"])
    for name, words in (("nanobind", "Redistribution and use in source"), ("robin-map", "MIT License")):
        [licence] = parts[name]["licenses"]
        assert licence["license"]["id"] == ("MIT" if words.startswith("MIT") else "BSD-3-Clause")
        assert words in (ROOT / "licenses" / f"{name}.txt").read_text(encoding="utf-8")


def test_every_source_of_the_kernel_is_ours_the_systems_or_named(wheel: Path) -> None:
    """Asks the build for every file that the compiler and the linker have read."""
    import nanobind

    ninja = shutil.which("ninja") or pytest.skip("built without ninja, which keeps a list of what it read")
    made = ROOT / "build" / wheel.stem.split("-", 2)[2]
    read = run([ninja, "-C", made, "-t", "deps"])
    sources = {(made / line.strip()).resolve() for line in read.splitlines() if line.startswith("    ")}
    sources = {path for path in sources if not path.is_relative_to(made)}  # the linker reads what the compiler wrote
    native, home = ROOT / "src" / "native", Path(nanobind.__file__).resolve().parent
    ours = {path for path in sources if path.is_relative_to(native)}
    assert {native / "bind.cpp", native / "kernel.h"} <= ours
    system = [Path("/usr/include"), Path("/usr/lib"), Path("/usr/local/include"), Path(sysconfig.get_path("include"))]
    others = {path for path in sources - ours if not any(path.is_relative_to(one.resolve()) for one in system)}
    listed = files_of(json.loads(embedded(wheel)))
    found = {path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in others}
    assert any(name.startswith("src/") and name.endswith(".cpp") for name in found)
    assert "ext/robin_map/include/tsl/robin_map.h" in found
    assert found.items() <= listed.items()


def test_it_names_the_model_the_dependencies_and_the_wheel(wheel: Path) -> None:
    document = json.loads(text_of(bill(wheel)))
    [digest] = document["metadata"]["component"]["hashes"]
    assert digest["content"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    parts = {part["name"]: part for part in document["components"]}
    assert parts["numpy"]["scope"] == "required"
    assert parts["numpy"]["description"] == "numpy>=2.0"
    assert parts["torch"]["scope"] == "optional"
    assert "gatewise" not in parts
    assert {"nanobind", "robin-map"} <= set(parts)
    manifest = (bundled.FOLDER / "manifest.json").read_bytes()
    [digest] = parts[f"gatewise/model/bundled/{bundled.NAME}"]["hashes"]
    assert digest["content"] == hashlib.sha256(manifest).hexdigest()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gatewise.libs/libgomp-a1b2.so.1.0.0", b"\x7fELF"),
        ("gatewise/serve/page/foreign.js", b"/*! @license MIT */"),
        ("gatewise/serve/page/foreign.css", b"/* Copyright (c) 2020 somebody */"),
        ("gatewise-0.1.0.dist-info/licenses/licenses/eigen.txt", b"a licence"),
    ],
)
def test_a_part_that_is_not_named_is_an_error(wheel: Path, tmp_path: Path, name: str, content: bytes) -> None:
    assert unlisted(wheel, bill(wheel)) == []
    other = tmp_path / wheel.name
    shutil.copy(wheel, other)
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr(name, content)
    command = [sys.executable, ROOT / "tools" / "sbom.py", other, "-o", tmp_path / "out.json"]
    done = run_child(command)
    assert (done.returncode, done.stderr) == (1, f"{other}: in no component: {name}\n")
    assert not (tmp_path / "out.json").exists()
