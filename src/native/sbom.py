"""Write the software bill of materials of the compiled kernel: CycloneDX 1.6, of what its shared library contains.

    python sbom.py VERSION OUT

VERSION: of gatewise. OUT: the file, which CMake installs into the wheel (PEP 770). nanobind is that of this Python. The
file depends on the arguments and on the files of nanobind only, so that two builds are equal byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nanobind

ROOT = Path(nanobind.__file__).parent
ROBIN_MAP = ROOT / "ext" / "robin_map" / "include" / "tsl"


def robin_map_version() -> str:
    """The version that robin-map's header names."""
    text = (ROBIN_MAP / "robin_growth_policy.h").read_text(encoding="utf-8")
    return ".".join(re.findall(r"#define TSL_RH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))


def component(name: str, version: str, licence: str, purl: str, files: Iterable[Path]) -> dict[str, Any]:
    """One entry, with its source files."""
    parts = [
        {
            "type": "file",
            "name": path.relative_to(ROOT).as_posix(),
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        }
        for path in sorted(files)
    ]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": licence}}],
        "purl": purl,
        "components": parts,
    }


def bill(gatewise: str) -> dict[str, Any]:
    """The document."""
    root = f"pkg:pypi/gatewise@{gatewise}"
    binding, map_ = version("nanobind"), robin_map_version()
    sources = [
        path for folder in ("include", "src") for path in (ROOT / folder).rglob("*") if path.suffix in (".cpp", ".h")
    ]
    parts = [
        component("nanobind", binding, "BSD-3-Clause", f"pkg:pypi/nanobind@{binding}", sources),
        component("robin-map", map_, "MIT", f"pkg:github/tessil/robin-map@v{map_}", ROBIN_MAP.glob("*.h")),
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "library", "bom-ref": root, "name": "gatewise", "version": gatewise, "purl": root}
        },
        "components": parts,
        "dependencies": [{"ref": root, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


if __name__ == "__main__":
    text = json.dumps(bill(sys.argv[1]), indent=2, sort_keys=True) + "\n"
    Path(sys.argv[2]).write_text(text, encoding="utf-8", newline="\n")
