"""Write the software bill of materials of a wheel: CycloneDX 1.6, JSON.

    python tools/sbom.py WHEEL [-o FILE]     default: the name of the wheel with .cdx.json

It names the wheel with its SHA-256, what is compiled into its kernel (the bill inside the wheel, PEP 770), the bundled
model, and the dependencies that the wheel declares. Exits with 1 for a part of the wheel that the bill does not name: a
shared library, or a file with the licence of somebody else. Equal wheels give equal bytes.
"""

from __future__ import annotations

import argparse
import email
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

OWN_LIBRARY = re.compile(r"gatewise/kernels/_native(\.[\w-]+)?\.(so|pyd)")
_LIBRARY = re.compile(r"\.(so(\.\d+)*|pyd|dll|dylib)$")
_TEXT = (".css", ".html", ".js", ".json", ".md", ".mjs", ".py", ".svg", ".txt")
_FOREIGN = re.compile(rb"\bcopyright\s*(\(c\)|\xc2\xa9|\d{4})|SPDX-License-Identifier|@licen[cs]e\b", re.IGNORECASE)
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def _sha256(data: bytes) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(data).hexdigest())


def embedded(wheel: zipfile.ZipFile) -> list[Bom]:
    """The bills inside the wheel: of what is compiled in, and of the libraries that a repair has added."""
    names = [name for name in wheel.namelist() if re.search(r"\.dist-info/sboms/[^/]+\.json$", name)]
    found = [Bom.from_json(json.loads(wheel.read(name))) for name in sorted(names)]  # type: ignore[attr-defined]
    for part in [part for one in found for part in one.components]:
        for file in part.components:
            file.bom_ref.value = file.bom_ref.value or f"{part.bom_ref}#{file.name}"  # else a random number
    return found


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    """The METADATA of the wheel."""
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def models(wheel: zipfile.ZipFile, version: str) -> Iterator[Component]:
    """The model folders in the wheel. The SHA-256 is that of manifest.json, which holds those of all files."""
    for name in sorted(wheel.namelist()):
        if name.endswith("/manifest.json"):
            folder = name.removesuffix("/manifest.json")
            yield Component(
                name=folder,
                type=ComponentType.MACHINE_LEARNING_MODEL,
                version=version,
                bom_ref=folder,
                licenses=[LicenseExpression(metadata_of(wheel)["License-Expression"])],
                hashes=[_sha256(wheel.read(name))],
            )


def dependencies(metadata: Message) -> Iterator[Component]:
    """The declared dependencies, without a version: the range is the description."""
    for line in sorted(metadata.get_all("Requires-Dist", [])):
        found = _REQUIREMENT.match(line)
        assert found is not None, line
        purl = PackageURL("pypi", name=found[0].lower().replace("_", "-"))
        if purl.name == "gatewise":  # an extra that names others
            continue
        scope = ComponentScope.OPTIONAL if "extra ==" in line else ComponentScope.REQUIRED
        yield Component(name=found[0], bom_ref=line, purl=purl, description=line, scope=scope)


def bill(path: Path) -> Bom:
    """The bill of the wheel at `path`."""
    with zipfile.ZipFile(path) as wheel:
        metadata = metadata_of(wheel)
        version = metadata["Version"]
        purl = PackageURL("pypi", name="gatewise", version=version, qualifiers={"file_name": path.name})
        root = Component(
            name="gatewise",
            version=version,
            bom_ref=str(purl),
            purl=purl,
            licenses=[LicenseExpression(metadata["License-Expression"])],
            hashes=[digest := _sha256(path.read_bytes())],
        )
        parts = [part for one in embedded(wheel) for part in one.components]
        parts += models(wheel, version)
        required = list(dependencies(metadata))
    found = Bom(components=[*parts, *required], serial_number=uuid5(NAMESPACE_URL, f"{purl}#{digest.content}"))
    found.metadata.component = root
    found.register_dependency(root, [*parts, *required])
    return found


def unlisted(path: Path, found: Bom) -> list[str]:
    """Files of the wheel that come from elsewhere and are in no component of the bill."""
    named = {part.name for one in found.components for part in (one, *one.components)}
    missing = []
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            base = name.rpartition("/")[2]
            if _LIBRARY.search(base) and not OWN_LIBRARY.fullmatch(name):
                foreign = not any(base.startswith(part) for part in named)
            elif (licence := name.partition(".dist-info/licenses/licenses/")[2]) != "":
                foreign = licence.removesuffix(".txt") not in named
            else:
                foreign = ".dist-info/" not in name and name.endswith(_TEXT) and bool(_FOREIGN.search(wheel.read(name)))
            if foreign and name not in named:
                missing.append(name)
    return missing


def text_of(found: Bom) -> str:
    """The JSON document, without the time at which it was written."""
    document = json.loads(JsonV1Dot6(found).output_as_string())
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    found = bill(given.wheel)
    if missing := unlisted(given.wheel, found):
        print(f"{given.wheel}: in no component: {', '.join(missing)}", file=sys.stderr)
        return 1
    out = given.out or given.wheel.with_name(given.wheel.name + ".cdx.json")
    out.write_text(text_of(found), encoding="utf-8", newline="\n")
    print(f"{out}: {len(found.components)} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
