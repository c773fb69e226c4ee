"""Wheels built from one commit: equal byte for byte."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from trust.attack import ROOT, Attacks
from trust.mutate import Rng, choice

ATTACKS = Attacks()


@ATTACKS.add("equal-wheels", 0, 3, seconds=1800.0, memory=0)
def _attempt(rng: Rng, folder: Path) -> None:
    """Two wheels built from one commit are equal byte for byte.

    two builds in different folders with random file times, permissions, umask, time zone, locale and number of jobs
    """
    first, second = (_build(folder / name, rng) for name in ("a", "another-folder"))
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
        names = one.namelist()
        assert names == other.namelist(), f"other files or another order: {set(names) ^ set(other.namelist())}"
        different = [name for name in names if one.read(name) != other.read(name)]
        assert not different, f"different files: {different}"
        for a, b in zip(one.infolist(), other.infolist(), strict=True):
            of_one, of_other = ((info.date_time, f"mode {info.external_attr >> 16:o}") for info in (a, b))
            assert of_one == of_other, f"{a.filename}: {of_one} and {of_other}"
    assert (first.name, first.read_bytes()) == (second.name, second.read_bytes()), "equal files in wheels that differ"


def _build(folder: Path, rng: Rng) -> Path:
    """A wheel of the checked-out commit, built in `folder` under random circumstances."""
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder / "source", filter="data")
    for path in sorted(path for path in (folder / "source").rglob("*") if path.is_file()):
        path.chmod(choice(rng, [0o644, 0o600, 0o664]) | (path.stat().st_mode & 0o100))
        os.utime(path, (when := int(rng.integers(10**9, 17 * 10**8)), when))
    environment = {
        "TZ": choice(rng, ["UTC", "Asia/Kathmandu", "America/St_Johns"]),
        "LC_ALL": choice(rng, ["C", "C.UTF-8"]),
        "PYTHONHASHSEED": str(rng.integers(2**32)),
        "CMAKE_BUILD_PARALLEL_LEVEL": str(rng.integers(1, 4)),
        "HOME": str(folder),
    }
    options = ["--wheel", "--no-isolation", "-o", str(folder / "dist"), str(folder / "source")]
    done = subprocess.run(
        [sys.executable, "-m", "build", *options],
        env={**os.environ, **environment},
        umask=choice(rng, [0o022, 0o077, 0o002]),
        capture_output=True,
    )
    if done.returncode:
        raise RuntimeError(f"the build failed: {done.stderr.decode(errors='replace').strip()[-200:]}")
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel
