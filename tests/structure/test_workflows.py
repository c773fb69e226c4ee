"""The workflows of CI: actions of a fixed commit, the fewest permissions, and the jobs that a release needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / ".github" / "workflows").glob("*"))
# The jobs that may do more than read the repository.
PERMISSIONS = {("wheels", "publish"): {"id-token": "write"}, ("wheels", "release"): {"contents": "write"}}


def faults(text: str) -> list[str]:
    """What is wrong with a workflow."""
    found = []
    for line in text.splitlines():
        # A tag can be moved to other code.
        if "uses:" in line and not re.fullmatch(r" +- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line):
            found.append(f"an action without a commit: {line.strip()}")
    if "secrets." in text:
        found.append("a secret")
    workflow = yaml.safe_load(text)
    if {"pull_request_target", "workflow_run"} & set(workflow[True]):  # "on" is a boolean in YAML 1.1
        found.append("runs with the rights of the repository for anyone's pull request")
    if workflow.get("permissions") != {"contents": "read"}:
        found.append(f"permissions: {workflow.get('permissions')}")
    for name, job in workflow["jobs"].items():
        allowed = PERMISSIONS.get((workflow["name"], name))
        if job.get("permissions") != allowed:
            found.append(f"permissions of {name}: {job.get('permissions')}")
        if not 0 < job.get("timeout-minutes", 0) <= 60:
            found.append(f"{name} has no time limit")
        found += [f"{name}: {fault}" for step in job["steps"] for fault in step_faults(step)]
    return found


def step_faults(step: dict[str, Any]) -> list[str]:
    """What is wrong with a step."""
    found = []
    if step.get("uses", "").startswith("actions/checkout@") and step.get("with", {}).get("persist-credentials", True):
        found.append("the token stays in the checkout")
    if "${{" in step.get("run", ""):
        found.append("an expression becomes part of a command")
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_wrong(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


def test_wheels_and_tests_run_on_each_system() -> None:
    jobs = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"] for path in WORKFLOWS}
    built = jobs["wheels"]["wheels"]["strategy"]["matrix"]["os"]
    tested = [job["runs-on"] for job in jobs["tests"].values()] + jobs["tests"]["tests"]["strategy"]["matrix"]["os"]
    for system in ("ubuntu", "macos", "windows"):
        assert any(one.startswith(system) for one in built)
        assert any(one.startswith(system) for one in tested)


def test_nothing_is_published_without_its_bill_and_hash() -> None:
    [path] = [path for path in WORKFLOWS if path.name == "wheels.yml"]
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    assert {"wheels", "sdist", "bills"} <= set(jobs["publish"]["needs"])
    commands = "\n".join(step.get("run", "") for step in jobs["bills"]["steps"])
    assert "tools/sbom.py" in commands
    assert "sha256sum" in commands
