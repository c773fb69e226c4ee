"""Public names and texts use the field's terms: the words below, which the project once used, do not come back."""

import ast
import re
from collections.abc import Iterator

from source_tree import PACKAGE, ROOT, trees

from gatewise.cli import COMMANDS
from tests.cli.conftest import Run

# Words of public identifiers that have a standard term now.
NAMES = re.compile(
    "verdict|box|glassbox|account|readers|beside|hear|heard|opinion|latent|weigh|weighing|reading|readings|silence|"
    "silenced|freeze|shrink|shrunk|rung|ladder|floor|say|says|said|asked|want|wanted|why|tape|facts|margin|faith|"
    "thing|surprise|passage|encoder"
)
# Pattern in help, documentation and page -> standard term.
TEXTS = {
    r"\bverdicts?\b": "prediction",
    r"\bthe box\b|--box\b|\bin the box\b": "the bundled model",
    r"\bglassbox\b|\bglass box\b": "explain",
    r"\baccounts? of\b": "attribution",
    r"\breaders and\b|\bthe readers\b": "stacked ensemble",
    r"\bbeside\b": "next to, and; ensembled with",
    r"\bthe house\b": "architecture",
    r"\bhears?\b|\bheard\b": "weight",
    r"\bopinions?\b": "soft labels",
    r"\blatent (line|direction)s?\b|\bline through\b": "LSA classifier",
    r"\binputs that move\b": "adversarial training",
    r"\bweigh(s|ed|ing)?\b": "ensemble weights",
    r"\b(a|each|one|every|first|second) reading\b|\breadings\b": "example",
    r"\bsilenc(e|es|ed|ing)\b": "ablate",
    r"\bfreez(e|es|ing)\b|\bfroze\b": "hold memory",
    r"\bshr(ink|inks|unk|ank)\b": "compress",
    r"\brungs?\b|\bladder\b": "kernel",
    r"(?<!Math\.)\bfloors?\b": "level",
    r"\bwhy_not\b": "unavailable_reason",
    r"\bits? tapes?\b|\bthe tapes?\b": "saved activations",
    r"\bFacts\b": "ModelMetadata",
    r"\bvalidation\s(part|data)\b|\bheld-out part\b": "validation set",
}
# Identifier -> reason.
NAME_EXCEPTIONS = {
    "reading_order": "the order in which one direction of an LSTM reads the steps",
    "floor": "the file of the operator Floor of ONNX",
    "Floor": "the operator of ONNX",
    "LSTMTextEncoder": "a transformer of scikit-learn, as its OrdinalEncoder",
}


def words(identifier: str) -> set[str]:
    """The words of a snake_case or CamelCase identifier, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", identifier)}


def public_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names that other code can use: classes, functions, their parameters, and fields; not locals or private names."""
    owners = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))]
    for node in (node for owner in owners for node in owner.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name.startswith("_") and node.name != "__init__":
                continue
            yield node.name, node.lineno
        parts = ast.walk(node.args) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else ()
        yield from ((one.arg, one.lineno) for one in parts if isinstance(one, ast.arg))
        parts = ast.walk(node) if isinstance(node, (ast.Assign, ast.AnnAssign)) else ()
        yield from ((one.id, one.lineno) for one in parts if isinstance(one, ast.Name) and one.id[0] != "_")


def texts() -> dict[str, str]:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    page = sorted((PACKAGE / "serve" / "page").rglob("*"))
    files += [path for path in page if path.suffix in (".js", ".html", ".css")]
    pages = {f"gatewise {name}": Run()(*name.split(), "--help").stdout for name in ("", *COMMANDS)}
    return pages | {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files}


def test_public_names() -> None:
    old = [
        f"{path}:{line}: {name}: '{word}' is no longer used"
        for path, tree in trees().items()
        for name, line in [(path.stem, 0), *public_names(tree)]
        for word in sorted(words(name))
        if NAMES.fullmatch(word) and name not in NAME_EXCEPTIONS
    ]
    assert not old, "\n".join(old)


def test_texts() -> None:
    old = [
        f"{page}:{text.count(chr(10), 0, match.start()) + 1}: '{match[0]}': write '{term}'"
        for page, text in texts().items()
        for pattern, term in TEXTS.items()
        for match in re.finditer(pattern, text, re.IGNORECASE if pattern != r"\bFacts\b" else 0)
    ]
    assert not old, "\n".join(old)
