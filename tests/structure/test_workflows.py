"""The workflows of CI: what zizmor finds in them, and the jobs that a release needs."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.children import run_child

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / ".github" / "workflows").glob("*"))
JOBS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"] for path in WORKFLOWS}


def test_nothing_is_wrong() -> None:
    """Actions of a fixed commit, few permissions, no expression in a command, no token in a checkout."""
    program = Path(sys.executable).parent / "zizmor"
    if not program.exists():
        pytest.skip("zizmor is not installed")
    done = run_child([program, "--offline", "--quiet", *WORKFLOWS])
    assert done.returncode == 0, done.stdout


def test_every_job_has_a_time_limit() -> None:
    for name, jobs in JOBS.items():
        assert all(0 < job.get("timeout-minutes", 0) <= 60 for job in jobs.values()), name


def test_wheels_and_tests_run_on_each_system() -> None:
    built = JOBS["wheels"]["wheels"]["strategy"]["matrix"]["os"]
    tested = [job["runs-on"] for job in JOBS["tests"].values()] + JOBS["tests"]["tests"]["strategy"]["matrix"]["os"]
    for system in ("ubuntu", "macos", "windows"):
        assert any(one.startswith(system) for one in built)
        assert any(one.startswith(system) for one in tested)


def test_nothing_is_published_without_its_bill_and_hash() -> None:
    assert {"wheels", "sdist", "bills"} <= set(JOBS["wheels"]["publish"]["needs"])
    commands = "\n".join(step.get("run", "") for step in JOBS["wheels"]["bills"]["steps"])
    assert "tools/sbom.py" in commands
    assert "sha256sum" in commands


def test_the_site_is_published_with_lesson_and_lab() -> None:
    """`make docs` writes both (tools/site.py), and one job publishes what it wrote."""
    build = JOBS["site"]["build"]["steps"]
    publish = JOBS["site"]["publish"]
    assert "make docs" in [step.get("run") for step in build]
    [upload] = [step for step in build if step.get("uses", "").startswith("actions/upload-pages-artifact@")]
    config = (Path(__file__).resolve().parents[2] / "mkdocs.yml").read_text(encoding="utf-8")
    assert f"site_dir: {upload['with']['path']}\n" in config
    assert publish["needs"] == ["build"]
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    hooks = (Path(__file__).resolve().parents[2] / "tools" / "site.py").read_text(encoding="utf-8")
    assert '("lesson.html", "index.html")' in hooks
