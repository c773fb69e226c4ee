"""The page's JavaScript modules as one script, for a page that loads nothing.

Each module becomes a function that returns its exports, so there is no build step. It may await at its top level.
"""

import posixpath
import re
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r'^import \{([^}]+)\} from "(\.\.?/[\w./]+\.js)";$', re.MULTILINE)
_DYNAMIC_IMPORT = re.compile(r'import\("(\.\.?/[\w./]+\.js)"\)')
_EXPORT = re.compile(r"^export ((?:async )?(?:function|const|class) (\w+))", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(//|/\*\*|\*/|\*(?: |$)).*\n", re.MULTILINE)
_INDENT = re.compile(r"^\t+", re.MULTILINE)  # no text of a module spans lines; a notebook stores each output
_UNREAD = re.compile(r"^(import|export) .*", re.MULTILINE)


@cache
def read_page_file(name: str) -> str:
    """A file of the served page."""
    return files("gatewise").joinpath("serve", "page", *name.split("/")).read_text(encoding="utf-8")


@cache
def script(entry: str, call: str = "", swapped: tuple[tuple[str, str], ...] = ()) -> str:
    """Module `entry`, as "lesson/main.js", and all modules that it imports, as one script.

    call: an export of it that is called at the end. swapped: (module, module in its place). Raises ValueError for a
    form of import or export that the page's modules do not use.
    """
    done: dict[str, str] = {}
    _add_module(entry, done, (), dict(swapped))
    end = f"{_name(entry)}.{call}();\n" if call else ""
    return '"use strict";\n(async () => {\n' + "\n".join(done.values()) + f"\n{end}}})();\n"


def _name(path: str) -> str:
    """The name of the module's exports in the script."""
    return "m_" + re.sub(r"\W", "_", path.removesuffix(".js"))


def _add_module(path: str, done: dict[str, str], importers: tuple[str, ...], swapped: dict[str, str]) -> None:
    if path in importers:
        raise ValueError(f"{path} imports itself through {importers[-1]}")
    if path in done:
        return
    own = swapped.get(path, path)
    source = read_page_file(own)

    def imported(place: str) -> str:
        found = posixpath.normpath(posixpath.join(posixpath.dirname(own), place))
        _add_module(found, done, (*importers, path), swapped)
        return _name(found)

    exports = [name for _, name in _EXPORT.findall(source)]
    body = _IMPORT.sub(lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = {imported(found[2])};", source)
    body = _DYNAMIC_IMPORT.sub(lambda found: f"Promise.resolve({imported(found[1])})", body)
    body = _EXPORT.sub(r"\1", _INDENT.sub("", _COMMENT.sub("", body)))
    if other := _UNREAD.search(body):
        raise ValueError(f"{path}: one script does not support {other[0]!r}")
    if "</script" in body.lower() or "<!--" in body:
        raise ValueError(f"{path} contains text that would end the script")
    done[path] = f"const {_name(path)} = await (async () => {{\n{body}\nreturn {{ {', '.join(exports)} }};\n}})();"
