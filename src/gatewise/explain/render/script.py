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
_UNSUPPORTED = re.compile(r"^(import|export) .*", re.MULTILINE)  # what remains after the other patterns


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
    functions: dict[str, str] = {}
    _add_module(entry, functions, (), dict(swapped))
    body = "\n".join(functions.values())
    if call:
        body += f"\n{_name(entry)}.{call}();"
    return f'"use strict";\n(async () => {{\n{body}\n}})();\n'


def _name(path: str) -> str:
    """The name of the module's exports in the script."""
    return "m_" + re.sub(r"\W", "_", path.removesuffix(".js"))


def _add_module(path: str, functions: dict[str, str], importers: tuple[str, ...], swapped: dict[str, str]) -> None:
    """Add the module to `functions`, the code of each module by path, after those that it imports. importers: the
    modules on the way to it, to find a circle.
    """
    if path in importers:
        raise ValueError(f"{path} imports itself through {importers[-1]}")
    if path in functions:
        return
    file = swapped.get(path, path)
    source = read_page_file(file)

    def add_imported(place: str) -> str:
        """Add the module at a place relative to this file; the name of its exports."""
        imported_path = posixpath.normpath(posixpath.join(posixpath.dirname(file), place))
        _add_module(imported_path, functions, (*importers, path), swapped)
        return _name(imported_path)

    def static_import(match: re.Match[str]) -> str:
        names = match[1].replace(" as ", ": ")
        return f"const {{{names}}} = {add_imported(match[2])};"

    def dynamic_import(match: re.Match[str]) -> str:
        return f"Promise.resolve({add_imported(match[1])})"

    exports = ", ".join(name for _, name in _EXPORT.findall(source))
    body = _IMPORT.sub(static_import, source)
    body = _DYNAMIC_IMPORT.sub(dynamic_import, body)
    body = _COMMENT.sub("", body)
    body = _INDENT.sub("", body)
    body = _EXPORT.sub(r"\1", body)
    unsupported = _UNSUPPORTED.search(body)
    if unsupported:
        raise ValueError(f"{path}: one script does not support {unsupported[0]!r}")
    if "</script" in body.lower() or "<!--" in body:
        raise ValueError(f"{path} contains text that would end the script")
    functions[path] = f"const {_name(path)} = await (async () => {{\n{body}\nreturn {{ {exports} }};\n}})();"
