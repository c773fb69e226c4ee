"""/docs: the API for people, one HTML page from the OpenAPI description, without JavaScript and other hosts."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_LARGEST = 1500  # characters of an example that are shown
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>gatewise HTTP API</title>
<link rel="icon" href="icon.svg" type="image/svg+xml"><link rel="stylesheet" href="docs.css"></head><body>
"""


def api_page(schema: Schema, host: str) -> str:
    """The page of a complete OpenAPI description. host: of the server, for the commands."""
    operations = [(path, method, one) for path, methods in schema["paths"].items() for method, one in methods.items()]
    info, token = schema["info"], bool(schema["security"])
    access = (
        "Every request needs the token of the server: <code>Authorization: Bearer TOKEN</code>, or the password of "
        "Basic. The health routes need none."
        if token
        else "This server needs no token."
    )
    parts = [
        f"{_HEAD}<header><h1>gatewise HTTP API</h1><p>Version {_text(info['version'])} · "
        '<a href="openapi.json">openapi.json</a> · <a href="./">the page</a></p></header><main>',
        f'<p>Requests and responses are JSON. {access}</p><nav aria-label="Routes"><ul>',
    ]
    for path, method, one in operations:
        about = _text(one["description"])
        parts.append(f'<li><a href="#{_id(path, method)}"><code>{method.upper()} {_text(path)}</code></a> {about}</li>')
    parts.append("</ul></nav>")
    for path, method, one in operations:
        parts += _operation(path, method, one, host, token)
    return "".join([*parts, "</main></body></html>\n"])


def _operation(path: str, method: str, about: Schema, host: str, token: bool) -> Iterator[str]:
    yield f'<section id="{_id(path, method)}"><h2><code>{method.upper()} {_text(path)}</code></h2>'
    yield f"<p>{_text(about['description'])}</p>"
    if parameters := about.get("parameters", []):
        yield "<h3>Parameters</h3><table><tr><th>name</th><th>in</th><th>type</th><th>meaning</th></tr>"
        for one in parameters:
            meaning = ("required. " if one.get("required") else "") + one.get("description", "")
            kind = signature(one["schema"])
            cells = (f"<code>{_text(one['name'])}</code>", _text(one["in"]), _text(kind), _text(meaning.strip()))
            yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        yield "</table>"
    body = about.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        forms = body["schema"].get("anyOf", [body["schema"]])
        yield "<h3>Request</h3>" + "<p>or</p>".join(f"<pre>{_text(signature(form, 0))}</pre>" for form in forms)
        for name, one in body.get("examples", {}).items():
            yield f"<h4>{_text(name)}</h4><pre>{_text(_command(path, host, token, one['value']))}</pre>"
    elif "{" not in path:
        yield f"<h3>Request</h3><pre>{_text(_command(path, host, token and about.get('security') is None))}</pre>"
    (kind, answer), *_ = about["responses"]["200"]["content"].items()
    yield f"<h3>Response</h3><p>{_text(kind)}</p>"
    if answer["schema"].get("properties"):
        yield f"<pre>{_text(signature(answer['schema'], 0))}</pre>"
    for name, one in answer.get("examples", {}).items():
        shown = json.dumps(one["value"], indent=1)
        cut = f"{shown[:_LARGEST]} …" if len(shown) > _LARGEST else shown
        yield f"<details><summary>{_text(name)}</summary><pre>{_text(cut)}</pre></details>"
    yield "<details><summary>Errors</summary><table><tr><th>status</th><th>reason</th></tr>"
    for status, one in about["responses"].items():
        if status != "200":
            yield f"<tr><td>{_text(status)}</td><td>{_text(one['description'])}</td></tr>"
    yield "</table></details></section>"


def signature(schema: Schema, indent: int | None = None) -> str:
    """A schema in one line, or with one property per line: {text: string, model?: "a" | "b"}; `?`: optional."""
    if "anyOf" in schema:
        return " | ".join(signature(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind == "array":
        return f"[{signature(schema.get('items', {}))}, ...]"
    if kind != "object":
        return str(kind)
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    if not properties:
        values = schema.get("additionalProperties")
        return f"{{name: {signature(values)}, ...}}" if isinstance(values, dict) else "object"
    fields = [f"{name}{'' if name in required else '?'}: {signature(one)}" for name, one in properties.items()]
    return "{" + ", ".join(fields) + "}" if indent is None else "{\n  " + ",\n  ".join(fields) + "\n}"


def _command(path: str, host: str, token: bool, body: Any = None) -> str:
    """A curl command."""
    words = ["curl", "-s", f"{host}{path}"]
    if token:
        words += ["-H", "Authorization: Bearer TOKEN"]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join(words)


def _id(path: str, method: str) -> str:
    return _text(f"{method}-{path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}")


def _text(text: str) -> str:
    return html.escape(text, quote=True)
