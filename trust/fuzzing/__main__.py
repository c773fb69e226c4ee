"""Fuzz one target in this process, or try one input.

python -m trust.fuzzing json --seed 7 --runs 20000    guided by coverage, with atheris, as the attacks fuzz-*
python -m trust.fuzzing json FILE    one input
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from trust.attack import MIB, ROOT
from trust.run import limit_memory

if TYPE_CHECKING:
    from trust.fuzzing.target import Target

FOUND = ROOT / "build" / "fuzz" / "found"  # inputs that failed
TIMEOUT, MEMORY = 20, 2000  # seconds of an execution, MiB of the process
LONGEST = 4096  # bytes of an input


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trust.fuzzing", description=__doc__.splitlines()[0])
    parser.add_argument("name", metavar="TARGET", help="a name of trust/fuzzing/registry.py")
    parser.add_argument("file", nargs="?", type=Path, help="try this input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        if options.file is not None:
            limit_memory(MEMORY * MIB)
            _imported(options.name).attempt(options.file.read_bytes(), Path(folder))
            return 0
        child = os.fork()  # the fuzzer ends its process, before the folder could be removed
        if not child:
            guided(options.name, options.seed, options.runs, Path(folder))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def guided(name: str, seed: int, runs: int, folder: Path) -> None:
    """Fuzz with atheris, which ends the process: with 0 if every input held. An input that fails is written to FOUND,
    and its traceback printed.
    """
    import atheris

    # The modules of gatewise count their branches where Python's own finder imports them under this hook. That of an
    # editable install is another one. A folder of PYTHONPATH comes first.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
    sys.path.append(str(ROOT / "src"))
    with atheris.instrument_imports(include=["gatewise"]):
        target = _imported(name)
    corpus, words, files = folder / "corpus", folder / "words", folder / "files"
    for made in (corpus, files, FOUND):
        made.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(raw)
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in (*target.words, b"0"))
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    options = [f"-seed={seed}", f"-runs={runs}", f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEMORY}"]
    options += [f"-max_len={LONGEST}", "-reload=0", f"-artifact_prefix={FOUND}/{name}-", f"-dict={words}"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda raw: target.attempt(raw, files))
    atheris.Fuzz()


def _imported(name: str) -> Target:
    """The target; the import is here so that the modules which it needs can be instrumented."""
    from trust.fuzzing.registry import target_of

    return target_of(name)


if __name__ == "__main__":
    sys.exit(main())
