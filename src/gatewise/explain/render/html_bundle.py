"""The page's own modules as one script, for pages that may fetch nothing: no build step, only their seams are redone.

Each module becomes a function that gives back what it exported; imports become names out of what stands before it. The
modules are ours and keep to the few forms that are read here; anything else is an error at the time of writing, not a
page that is silently broken.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["script", "style"]

_STATIC = re.compile(r'^import \{ ([^}]+) \} from "\./([a-z]+)\.js";$')
_DYNAMIC = re.compile(r'import\("\./([a-z]+)\.js"\)')
_EXPORT = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)")


def _read(name: str) -> str:
    return (files("gatewise") / "serve" / "page" / name).read_text(encoding="utf-8")


@cache
def style() -> str:
    """The page's stylesheet."""
    return _read("style.css")


@cache
def script(entry: str = "report") -> str:
    """Module `entry` with all that it imports, at once or when needed, as one script."""
    done: dict[str, str] = {}
    _add(entry, done, ())
    return '"use strict";\n(() => {\n' + "\n".join(done.values()) + f"\nm_{entry}.start();\n}})();\n"


def _add(name: str, done: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"{name}.js imports itself by way of {above[-1]}.js")
    if name in done:
        return
    lines, exported = [], []
    source = _read(f"{name}.js")
    for needed in [found[2] for line in source.splitlines() if (found := _STATIC.match(line))] + _DYNAMIC.findall(
        source
    ):
        _add(needed, done, (*above, name))
    for line in source.splitlines():
        if found := _STATIC.match(line):
            lines.append(f"const {{ {found[1]} }} = m_{found[2]};")
        elif line.startswith(("import ", "export {", "export default", "export *")):
            raise ValueError(f"{name}.js: the report cannot take {line!r}")
        elif not line.startswith("//"):
            if found := _EXPORT.match(line):
                exported.append(found[1])
                line = line.removeprefix("export ")
            lines.append(_DYNAMIC.sub(lambda match: f"Promise.resolve(m_{match[1]})", line))
    body = "\n".join(lines)
    if "</script" in body.lower() or "<!--" in body:
        raise ValueError(f"{name}.js holds what would end a script in a page")
    done[name] = f"const m_{name} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"
