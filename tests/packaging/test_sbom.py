"""The bill of materials names what is in the wheel: what the kernel was compiled from, the model, the dependencies."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from gatewise import __version__
from gatewise.model import bundled
from tests.packaging.building import ROOT, run
from tools.sbom import bill, text_of, unlisted

pytestmark = pytest.mark.slow


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
    made = (wheel.parent / "build").resolve()
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
    model = parts.get(f"gatewise/model/bundled/{bundled.NAME}")
    if bundled.missing():
        assert model is None
    else:
        manifest = (bundled.FOLDER / "manifest.json").read_bytes()
        assert model is not None
        assert model["hashes"][0]["content"] == hashlib.sha256(manifest).hexdigest()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gatewise.libs/libgomp-a1b2.so.1.0.0", b"\x7fELF"),
        ("gatewise/serve/page/chart.js", b"/*! @license MIT */"),
        ("gatewise/serve/page/chart.css", b"/* Copyright (c) 2020 somebody */"),
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
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"{other}: in no component: {name}\n")
    assert not (tmp_path / "out.json").exists()
