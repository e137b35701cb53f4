"""The same targets under atheris, which steers by coverage: `python tests/fuzz/coverage_guided.py TARGET SECONDS`.

Needs the package `atheris`. The file that broke a target is left in the working folder as `crash-…`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["seedstudy", "tomllib", "json"]):
    from tests.fuzz.targets import TARGETS, survives


def main() -> None:
    """Fuzz one target for so many seconds."""
    name, seconds = sys.argv[1:3]
    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    (corpus / "right").write_bytes(TARGETS[name][1]())

    def one(content: bytes) -> None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            survives(name, content, folder)
        finally:
            shutil.rmtree(folder)

    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-max_len=20000", "-timeout=20"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
