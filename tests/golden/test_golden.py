"""Whole outputs as a newcomer reads them, with 2 to 100 seeds; a change of any word or number shows as a diff.

The numbers are proven elsewhere. ``python -m tests.golden.test_golden [BEGINNING…]`` rewrites the
files, or those whose names begin like this, after a change that is meant.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent
SETS = {"val": (79.72, 78.06, 0.10, 50_000), "real": (85.37, 84.20, 0.08, 46_837), "v2": (67.99, 66.30, 0.23, 10_000)}
"""Mean of A2 and of A3, std over seeds, images: near "ResNet strikes back"."""


RECIPES = ("baseline", "mixup0.2", "label-smoothing-0.1", "exponential-moving-average", "cosine+warmup")


LONG = (
    "resnet50-with-stochastic-depth-and-label-smoothing-0.1-cosine",
    "resnet50-without-stochastic-depth-but-label-smoothing-0.1-cos",
)
"""Names of 60 letters."""


def write_study(n: int) -> None:
    """Write one table with n seeds of a3, of a2, and of a recipe that is as good as a2."""
    rng = np.random.default_rng(10 + n)
    lines = ["recipe,model,data,seed,eval_set,n_correct,n_examples"]
    for name, (a2, a3, sd, n_images) in SETS.items():
        for recipe, mean in (("a3", a3), ("a2", a2), ("a2b", a2 + 0.02)):
            right = np.round(rng.normal(mean, sd, n) / 100 * n_images).astype(int)
            lines += [f"{recipe},resnet50,imagenet,{seed},{name},{k},{n_images}" for seed, k in enumerate(right)]
    Path(f"n{n}.csv").write_text("\n".join(lines) + "\n")


def write_files() -> None:
    """Write small files: seeds that do not spread, one run, few decimals, losses, a published table."""
    rng = np.random.default_rng(1)
    for name, values in (
        ("flat", [79.512] * 5),
        ("flat2", [79.634] * 5),
        ("spread", [79.61, 79.74, 79.69, 79.58, 79.71]),
        ("one", [79.94]),
        ("sweep", [79.61, 79.74, 79.69, 79.58, 79.71, 79.66, 79.79, 79.72, 79.63, 79.68]),
        ("coarse", [79.5, 79.6, 79.6]),
        ("coarse2", [79.8, 79.8, 79.9]),
    ):
        Path(f"{name}.txt").write_text("".join(f"{value}\n" for value in values))
    for name, mean in (("old", 1.31), ("new", 1.33)):
        losses = rng.normal(mean, 0.01, 8)
        Path(f"{name}.csv").write_text("seed,val_loss\n" + "".join(f"{i},{x:.4f}\n" for i, x in enumerate(losses)))
    grid = [f"{r},{m},{seed},{70 + rng.normal():.2f}" for r in ("a1", "a2") for m in ("m", "n") for seed in range(4)]
    Path("grid.csv").write_text("recipe,model,seed,top1\n" + "\n".join(grid) + "\n")
    for name, mean in (("wide_a", 70.0), ("wide_b", 71.0)):
        wide = [f"{name},{d},{s},{mean + rng.normal():.2f}" for d in ("x", "y", "z") for s in range(4)]
        Path(f"{name}.csv").write_text("recipe,data,seed,top1\n" + "\n".join(wide) + "\n")
    cells = [(family, 2.0**octave, seed) for family in ("wide", "deep") for octave in range(6) for seed in range(2)]
    errors = [f"{f},{c:g},{s},{80 + (f == 'deep') - 30 * c**-0.4 + rng.normal() / 5:.2f}" for f, c, s in cells]
    Path("curve.csv").write_text("family,flops,seed,top1\n" + "\n".join(errors) + "\n")
    several = [
        f"{r},{s},{n},{79 + 0.1 * i + 2 * j + rng.normal() / 9:.2f}"
        for i, r in enumerate(RECIPES)
        for s in range(5)
        for j, n in enumerate(SETS)
    ]
    Path("five.csv").write_text("recipe,seed,eval_set,top1\n" + "\n".join(several) + "\n")
    for n in (3, 10):
        names = [f"{r}-with-a-longer-name" for r in RECIPES] if n == 3 else RECIPES
        several = [
            f"{r},{s},{e},{79 + 0.1 * i + 2 * j + rng.normal() / 9:.2f}"
            for i, r in enumerate(names)
            for s in range(n)
            for j, e in enumerate(SETS)
        ]
        Path(f"five{n}.csv").write_text("recipe,seed,eval_set,top1\n" + "\n".join(several) + "\n")
    of_two = [
        f"{r},{s},{e},{79 + 2 * j + rng.normal() / 9:.2f}" for r in LONG for s in range(3) for j, e in enumerate(SETS)
    ]
    Path("long.csv").write_text("recipe,seed,eval_set,top1\n" + "\n".join(of_two) + "\n")
    Path("table.csv").write_text("model,val,v2\nr18,69.76,57.34\nr34,73.31,61.21\nr50,76.13,63.20\nr50d,76.25,63.05\n")


SLOW = ("race-replay-100",)
"""Files whose command computes for seconds."""


def outputs() -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each file and the command that makes it."""
    for n in (2, 3, 5, 10, 100):
        where = ["--study", f"n{n}"]
        if n not in (2, 10):
            yield f"summary-{n}", ["summary", *where]
            yield f"fit-{n}", ["fit", "a2", "--eval", "val", *where]
        yield f"compare-{n}", ["compare", "a3", "a2", "--margin", "0.1", *where]
        yield f"compare-close-{n}", ["compare", "a2", "a2b", "--margin", "0.1", "--eval", "val", *where]
        yield f"compare-undecided-{n}", ["compare", "a2", "a2b", "--margin", "0.1", *where]
        if n in (3, 10):
            yield f"compare-no-margin-three-sets-{n}", ["compare", "a2", "a2b", *where]
            yield f"compare-five-recipes-{n}", ["compare", f"five{n}.csv", "--by", "recipe", "--margin", "0.1"]
    yield "compare-file-3", ["compare", "n3.csv:a2", "n3.csv:a2b", "--by", "recipe", "--margin", "0.1"]
    yield "compare-long-names", ["compare", "long.csv", "--by", "recipe", "--margin", "0.1"]
    yield "compare-several-5", ["compare", "a3", "a2", "a2b", "--all-pairs", "--eval", "val", "--study", "n5"]
    yield "summary-details-5", ["summary", "a2", "a3", "--details", "--study", "n5"]
    yield "compare-details-5", ["compare", "a3", "a2", "--margin", "0.1", "--eval", "val", "--details", "--study", "n5"]
    yield "race-replay-100", ["race", "--replay", "a3", "a2", "--margin", "0.1", "--study", "n100"]
    yield "power-pilot", ["power", "--difference", "0.1", "--pilot", "n5:a2", "--cost", "resnet50@a2"]
    yield "compare-published", ["compare", "a3: 78.06±0.11 n=3", "a2: 79.72±0.10 n=100", "--margin", "0.1"]
    yield "compare-published-coarse", ["compare", "old: 79.5±0.1 n=3", "new: 79.8±0.1 n=3"]
    yield "compare-no-margin-5", ["compare", "a2", "a2b", "--eval", "val", "--study", "n5"]
    yield "compare-many-10", ["compare", "a3", "a2", "a2b", "--all-pairs", "--margin", "0.1", "--study", "n10"]
    yield "compare-no-spread", ["compare", "flat.txt", "flat2.txt"]
    yield "compare-no-spread-in-one", ["compare", "flat.txt", "spread.txt"]
    yield "compare-one-run", ["compare", "sweep.txt", "one.txt", "--margin", "0.1"]
    yield "compare-few-decimals", ["compare", "coarse.txt", "coarse2.txt"]
    yield "compare-loss", ["compare", "old.csv", "new.csv", "--metric", "val_loss", "--level", "0.9"]
    yield (
        "compare-max-t-10",
        ["compare", "a2", "a2b", "--correction", "max-t", "--study", "n10", "--eval", "val,real,v2"],
    )
    yield (
        "compare-paired-10",
        ["compare", "a2", "a2b", "--paired", "--eval", "val", "--margin", "0.1", "--study", "n10"],
    )
    yield "power-n", ["power", "--n", "5", "--sd", "rsb-val"]
    yield "power-margin", ["power", "--margin", "0.1", "--sd", "0.1"]
    yield "audit", ["audit", "table.csv", "--sd", "rsb"]
    yield "audit-ladder", ["audit", "table.csv", "--sd", "0.1", "--ladder", "--columns", "val"]
    yield "compare-five-recipes", ["compare", "five.csv", "--by", "recipe", "--margin", "0.1"]
    yield "compare-grid", ["compare", "grid.csv", "--grid"]
    yield "compare-across-data", ["compare", "wide_a.csv", "wide_b.csv", "--across-data"]
    yield "race-10", ["race", "--replay", "a3", "a2", "--margin", "0.1", "--study", "n10"]
    yield "race-undecided-10", ["race", "--replay", "a2", "a2b", "--study", "n10"]
    yield "race-anytime-10", ["race", "--replay", "a2", "a2b", "--spending", "anytime", "--study", "n10"]
    yield "race-several-10", ["race", "--replay", "a3", "a2", "a2b", "--study", "n10"]
    yield "power-seeds", ["power", "--difference", "0.2", "--sd", "rsb-val"]
    yield "scaling", ["scaling", "curve.csv", "--by", "family"]
    yield "status", ["status", "n5"]
    yield "import-dry-run", ["import", "n2.csv", "--dry-run"]
    yield "recipes-list", ["recipes", "list"]
    yield "recipes-show", ["recipes", "show", "a2"]
    yield "recipes-show-sources", ["recipes", "show", "a2", "-d", "shapes"]
    yield "recipes-diff", ["recipes", "diff", "a1", "a2", "a3"]
    yield "recipes-keys", ["recipes", "keys"]
    yield "recipes-models", ["recipes", "models", "a2"]
    yield "data-list", ["data", "list"]
    yield "data-check", ["data", "check", "shapes"]
    yield "summary-csv", ["summary", "--study", "n5", "--format", "csv"]
    yield "compare-md", ["compare", "a3", "a2", "--study", "n5", "--format", "md"]
    yield "compare-tex", ["compare", "a3", "a2", "--study", "n5", "--format", "tex"]
    yield "compare-typst", ["compare", "a3", "a2", "--study", "n5", "--format", "typst"]
    yield "compare-cite", ["compare", "a3", "a2", "--study", "n5", "--cite"]
    yield "summary-cite", ["summary", "a2", "--study", "n5", "--cite"]
    yield "race-cite", ["race", "--replay", "a3", "a2", "--study", "n10", "--cite"]
    yield "audit-cite", ["audit", "table.csv", "--sd", "0.1", "--cite"]
    yield "scaling-cite", ["scaling", "curve.csv", "--cost", "flops", "--by", "family", "--cite"]
    yield "fit-cite", ["fit", "sweep.txt", "--cite"]
    yield "compare-grid-cite", ["compare", "grid.csv", "--grid", "--cite"]
    yield "compare-across-data-cite", ["compare", "wide_a.csv", "wide_b.csv", "--across-data", "--cite"]
    yield "compare-several-cite", ["compare", "five.csv", "--by", "recipe", "--cite"]
    yield "power-cite", ["power", "--n", "5", "--sd", "rsb-val", "--cite"]


def printed(arguments: list[str]) -> str:
    from seedstudy.cli import main

    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code
    return (
        "$ seedstudy " + " ".join(arguments) + "\n" + "\n".join(x.rstrip() for x in out.getvalue().splitlines()) + "\n"
    )


def import_studies() -> None:
    write_files()
    for n in (2, 3, 5, 10, 100):
        write_study(n)
        printed(["import", f"n{n}.csv", "--study", f"n{n}"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("golden")
    with chdir(path):
        import_studies()
    return path


@pytest.mark.parametrize(
    ("name", "arguments"),
    [pytest.param(*each, marks=[pytest.mark.slow] if each[0] in SLOW else []) for each in outputs()],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_output_is_as_it_was_read(
    name: str, arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLUMNS", raising=False)
    text = printed(arguments)
    assert text == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    if not {"--format", "--cite"} & set(arguments):
        assert max(map(len, text.splitlines()[1:])) <= 80


if __name__ == "__main__":
    os.environ.pop("COLUMNS", None)
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        import_studies()
        for name, arguments in outputs():
            if sys.argv[1:] and not name.startswith(tuple(sys.argv[1:])):
                continue
            (FOLDER / f"{name}.txt").write_text(printed(arguments), encoding="utf-8")
