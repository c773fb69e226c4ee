"""A page of `serve/page/` as one HTML file that loads nothing, so that it works on any host and opened as a file.

Its modules are one script, its styles one style, and its data are compressed text elements, which `files.js` reads. The
content security policy allows that script and that style by their hashes.
"""

import base64
import gzip
import re
from collections.abc import Mapping

from gatewise.explain.render.html import csp_hash
from gatewise.explain.render.script import read_page_file, script

_STYLE = re.compile(r'<link rel="stylesheet" href="([\w./]+)">\n?')
_ICON = re.compile(r'<link rel="icon" href="([\w./]+)" type="image/svg\+xml">')
_PRELOAD = re.compile(r'<link rel="preload" [^>]*>\n?')
_SCRIPT = re.compile(r'<script type="module" src="([\w./]+)"></script>\n?')


def inline_page(
    name: str, data: Mapping[str, bytes], swapped: Mapping[str, str] | None = None, without_script: str = ""
) -> bytes:
    """The page `name`, as "lesson.html".

    data: the files that its modules read, by name; the script runs as soon as the first one is there. swapped: module
    to the module in its place. without_script: HTML for browsers without JavaScript, in place of what the page says
    there.
    """
    page = read_page_file(name)
    entry = _SCRIPT.findall(page)
    if len(entry) != 1:
        raise ValueError(f"{name} must have one script, a module")
    style = "".join(map(read_page_file, _STYLE.findall(page)))
    code = script(entry[0], "", tuple(sorted((swapped or {}).items())))
    policy = (
        f"default-src 'none'; script-src '{csp_hash(code)}'; style-src '{csp_hash(style)}'; img-src data: blob:; "
        "worker-src blob:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>\n'
    page = _PRELOAD.sub("", _SCRIPT.sub("", _STYLE.sub("", page))).replace("</head>", f"{meta}</head>", 1)
    for name in _ICON.findall(page):
        icon = base64.b64encode(read_page_file(name).encode()).decode()
        page = page.replace(f'href="{name}"', f'href="data:image/svg+xml;base64,{icon}"')
    if without_script:
        start, end = page.index("<noscript>") + len("<noscript>"), page.index("</noscript>")
        page = page[:start] + without_script + page[end:]
    packed = {file: base64.b64encode(gzip.compress(raw, mtime=0)).decode() for file, raw in data.items()}
    blocks = [f'<script type="text/plain" data-file="{file}">{text}</script>\n' for file, text in packed.items()]
    blocks.insert(1, f"<script>{code}</script>\n")
    return page.replace("</body>", f"{''.join(blocks)}</body>", 1).encode()
