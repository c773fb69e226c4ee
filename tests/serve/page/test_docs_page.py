"""/docs in a browser: every route of the API, and commands that work."""

import json
import shlex
import urllib.request

from tests.serve.page.conftest import Visit


def test_every_route_and_its_command(visit: Visit) -> None:
    page = visit("hostile")
    page.goto(f"{page.home}/docs")
    page.wait_for_selector("section")
    with urllib.request.urlopen(f"{page.home}/openapi.json") as reply:
        paths = json.load(reply)["paths"]
    routes = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert page.locator("section > h2").all_inner_texts() == routes
    assert "onerror=alert(1)>" in page.locator("main").text_content(), "a class name is text"
    assert page.locator("main img, main script").count() == 0
    commands = [text for text in page.locator("pre").all_inner_texts() if text.startswith("curl ")]
    assert len(commands) > 10
    for command in commands:
        _, _, where, *rest = shlex.split(command)
        body = rest[rest.index("-d") + 1].encode() if "-d" in rest else None
        url = f"http://{where}".replace("{name}", "hostile").replace("{version}", "1")
        with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})) as reply:
            assert reply.status == 200, command
