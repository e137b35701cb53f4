"""``python -m studies.calibration`` writes the tables of `docs/calibration.md`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from studies.calibration.designs import SIZES
from studies.calibration.report import replaced, tables
from studies.calibration.run import PARTS, calibrate


def main(arguments: list[str] | None = None) -> int:
    """Run the calibration and put its tables into a document between the marks ``<!-- name -->``."""
    parser = argparse.ArgumentParser(prog="python -m studies.calibration", description=__doc__)
    parser.add_argument("--replicates", type=int, default=20_000)
    parser.add_argument("--rng-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SIZES), help="numbers of seeds per arm")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="tables to measure")
    parser.add_argument("--into", type=Path, help="document whose tables are replaced; default: print")
    options = parser.parse_args(arguments)
    started = time.monotonic()

    def progress(line: str) -> None:
        print(f"[{time.monotonic() - started:6.0f} s] {line}", file=sys.stderr)

    result = calibrate(
        replicates=options.replicates,
        rng_seed=options.rng_seed,
        sizes=tuple(options.seeds),
        parts=tuple(options.only),
        progress=progress,
    )
    chosen = {name: table for name, table in tables(result).items() if name in options.only}
    if options.into is None:
        for name, table in chosen.items():
            print(f"## {name}\n\n{table}\n")
        return 0
    text = options.into.read_text(encoding="utf-8")
    for name, table in chosen.items():
        text = replaced(text, name, table)
    options.into.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
