"""docs/serving.md: its commands run, its options are those of the program, its errors those of the source."""

import ast
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewise.serve.settings import Settings
from tests.children import run_child
from tests.cli.conftest import Run
from tests.serve.server import Server, post

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCKS if name == kind]


COMMANDS = [line for text in blocks("sh") for line in text.splitlines()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands are curl's")
@pytest.mark.parametrize("command", [one for one in COMMANDS if "/forecast" not in one])  # see test_forecast
def test_commands(server: Server, command: str) -> None:
    words = shlex.split(command.replace("localhost:8000", f"localhost:{server.port}"))
    assert words[0] == "curl"
    done = run_child([*words, "--fail-with-body"], seconds=60)
    assert done.returncode == 0, done.stdout
    if "/stream" in command:
        assert done.stdout.count("data: {") == 3
    elif "/metrics" not in command:
        assert "error" not in json.loads(done.stdout)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("code", blocks("python"))
def test_the_clients_in_python(server: Server, code: str) -> None:
    if "websockets" in code:
        pytest.importorskip("websockets")
    code = code.replace("localhost:8000", f"localhost:{server.port}")
    done = run_child([sys.executable, "-c", code], seconds=60)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"\w+", done.stdout)) <= {"positive", "negative", "a", "b", "c"}
    assert done.stdout


def test_what_the_answer_looks_like(server: Server) -> None:
    shown, _ = blocks("json")  # of a forecast: see test_forecast
    found = post(server.port, "/predict", {"text": "A warm, funny and honest film."}).json()
    example = json.loads(shown)
    assert list(found) == list(example)
    assert list(found["predictions"][0]) == list(example["predictions"][0])
    assert found["predictions"][0]["steps"] == example["predictions"][0]["steps"]


def test_the_servers_own_line(server: Server) -> None:
    assert len(COMMANDS) == 13
    for text in blocks("console"):
        command, *lines = text.strip().splitlines()
        if command.startswith("$ docker build"):
            continue
        (line,) = lines
        assert command.startswith("$ gatewise serve -m models/reviews")
        assert re.fullmatch(r"gatewise: serving [\w, ]+ at http://127\.0\.0\.1:8000 \(Ctrl-C ends it\)", line)
    at = f"http://127.0.0.1:{server.port} (Ctrl-C ends it)\n"
    assert server.log.startswith(f"gatewise: serving reviews, tokens, gestures at {at}")


def test_options_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert set(rows) == set(re.findall(r"--[a-z][a-z-]+", Run()("serve", "--help").stdout)) - {"--help", "--model"}
    defaults = Settings(("model",))
    for option, shown in rows.items():
        plural = {"--allow-host": "allow_hosts", "--allow-frame": "allow_frames"}
        value = getattr(defaults, plural.get(option, option[2:].replace("-", "_")))
        text = "none" if value in (None, ()) else "off" if value is False else str(value).removesuffix(".0")
        assert shown.strip() == text, option


def test_every_error_of_the_source_is_explained() -> None:
    raised = set()
    for path in (ROOT / "src" / "gatewise" / "serve").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("HTTPError", "self._reject") and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                raised.add((ast.unparse(node.args[0]), str(node.args[1].value)))
            if name == "RequestError" and len(node.args) > 2 and isinstance(node.args[2], ast.Constant):
                raised.add(("400", str(node.args[2].value)))
    assert len(raised) > 15
    rows = dict[str, str]()
    for statuses, codes in re.findall(r"^\| (\d{3}(?:, \d{3})*) \| ([^|]+) \|", PAGE, re.MULTILINE):
        for status in statuses.split(", "):
            rows[status] = rows.get(status, "") + codes
    for status, code in raised - {("499", "disconnected"), ("400", "disconnected")}:  # no client reads them
        where = [rows[status]] if status.isdigit() else list(rows.values())
        assert any(f"`{code}`" in codes for codes in where), (status, code)


def test_the_containers_and_the_services_commands(server: Server, settings_of: Callable[..., Settings]) -> None:
    """With their own flags, and the token that the page gives through the environment."""
    docker, (unit,) = (ROOT / "Dockerfile").read_text(encoding="utf-8"), blocks("ini")
    cmd, check = (json.loads(line.partition("CMD ")[2]) for line in sorted(docker.splitlines()) if "CMD [" in line)
    service = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1])  # type: ignore[index]
    for words, more in ((cmd, ["--token", "long-enough"]), (service, [])):
        assert Path(words[0]).name == "gatewise"
        assert words[1] == "serve"
        assert (words[2], Path(words[3]).name) == ("-m", "reviews")
        assert settings_of(*words[2:], *more).port == 8000
    assert check[:2] == ["python", "-c"]
    for port, is_healthy in ((server.port, True), (1, False)):
        code = check[2].replace(":8000", f":{port}")
        done = run_child([sys.executable, "-c", code])
        assert (done.returncode == 0) == is_healthy
