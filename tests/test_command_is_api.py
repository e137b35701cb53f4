"""For one study and the same files, a command and its function in Python give the same answer: for every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.api import choices, studies
from seedstudy.document import document
from seedstudy.errors import StudyError
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from tests.imagenet_tree import jpeg, write

Cli = Callable[..., tuple[int, str, str]]
Ask = Callable[[], Any]

MARGIN = 4.0  # points, declared by the study

QUESTIONS: dict[str, list[tuple[str, Ask]]] = {
    "status": [("main", studies.status)],
    "restore": [("main", studies.restore)],
    "summary": [
        ("", ss.summary),
        ("results/main", lambda: ss.summary("results/main")),
        ("results/main -m resnet8_nano --eval val", lambda: ss.summary(model="resnet8_nano", eval_sets="val")),
        ("long.csv --by method", lambda: ss.summary(Path("long.csv"), by=["method"])),
        ("a2 --eval val --level 0.9", lambda: ss.summary("a2", eval_sets=["val"], level=0.9)),
        ("a.txt losses_a.csv --metric val_loss", lambda: ss.summary("a.txt", "losses_a.csv", metric="val_loss")),
    ],
    "fit": [
        ("a2", lambda: ss.fit("a2")),
        ("a.txt --n-examples 10000", lambda: ss.fit("a.txt", n_examples=10_000)),
    ],
    "variance": [
        ("", ss.variance),
        ("a3 a2 --clusters class", lambda: ss.variance("a3", "a2", clusters="class")),
        ("a2 --eval val --level 0.9", lambda: ss.variance("a2", eval_sets=["val"], level=0.9)),
    ],
    "images": [
        ("a3 a2", lambda: ss.images("a3", "a2")),
        ("a2 --eval real --fdr 0.1", lambda: ss.images("a2", eval_set="real", fdr=0.1)),
    ],
    "compare": [
        ("a3 a2", lambda: ss.compare("a3", "a2")),
        ("a3 a2", lambda: ss.compare(ss.load_trials("results/main"), "a3", "a2")),
        ("results/main:a3 results/other:a2", lambda: ss.compare(Path("results/main:a3"), "results/other:a2")),
        ("a3 a2 -m resnet8_nano -d tiny", lambda: ss.compare("a3", "a2", model="resnet8_nano", data="tiny")),
        ("long.csv --by method --ignore gpu", lambda: ss.compare("long.csv", by="method", ignore=["gpu"])),
        ("long.csv:method=c* long.csv:base*", lambda: ss.compare("long.csv:method=c*", "long.csv:base*")),
        ("columns.csv", lambda: ss.compare("columns.csv")),
        ("columns.csv:new columns.csv:old", lambda: ss.compare("columns.csv:new", "columns.csv:old")),
        ("a3 a2 --images new", lambda: ss.compare("a3", "a2", images="new")),
        ("a3 a2 --clusters class", lambda: ss.compare("a3", "a2", clusters="class")),
        ("a3 a2 --paired --margin 1", lambda: ss.compare("a3", "a2", paired=True, margin=1.0)),
        ("a3 a2 other:a2 --all-pairs", lambda: ss.compare("a3", "a2", "other:a2", all_pairs=True)),
        ("a.txt b.txt", lambda: ss.compare("a.txt", "b.txt")),
        (
            "losses_a.csv losses_b.csv --metric val_loss",
            lambda: ss.compare("losses_a.csv", "losses_b.csv", metric="val_loss"),
        ),
        ("grid.csv --grid --level 0.9", lambda: ss.grid("grid.csv", level=0.9)),
        ("wide_a.csv wide_b.csv --across-data", lambda: ss.across_data("wide_a.csv", "wide_b.csv")),
    ],
    "race": [
        ("--replay a3 a2", lambda: ss.race("a3", "a2", replay=True)),
        ("--replay a.txt b.txt --margin 0.3", lambda: ss.race("a.txt", "b.txt", replay=True, margin=0.3)),
        ("--replay long.csv --by method", lambda: ss.race("long.csv", replay=True, by="method")),
        ("--replay a.txt --target 78", lambda: ss.race("a.txt", replay=True, target=78.0)),
        (
            "--replay losses_a.csv losses_b.csv --metric val_loss",
            lambda: ss.race("losses_a.csv", "losses_b.csv", replay=True, metric="val_loss"),
        ),
        (
            "--replay losses_b.csv --target 1.2 --metric val_loss",
            lambda: ss.race("losses_b.csv", replay=True, target=1.2, metric="val_loss"),
        ),
    ],
    "report": [
        ("a3 a2 -o r.md", lambda: ss.report("a3", "a2")),
        ("-o r.tex --margin 1", lambda: ss.report(margin=1.0)),
        ("a.txt b.txt -o r.typ --title Question", lambda: ss.report("a.txt", "b.txt", title="Question")),
    ],
    "power": [
        ("--difference 0.2 --sd 0.1", lambda: ss.power(0.1, difference=0.2)),
        ("--difference 0.2 --sd 0.1 --paired 0.5", lambda: ss.power(0.1, difference=0.2, paired=0.5)),
        ("--n 5 --sd rsb-val", lambda: ss.power("rsb-val", n=5)),
        ("--difference 5 --pilot a2", lambda: ss.power(pilots=["a2"], difference=5.0)),
        ("--difference 5 --from-one a2", lambda: ss.power(from_one="a2", difference=5.0)),
    ],
    "audit": [
        ("table.csv --reference long.csv:cutmix", lambda: ss.audit("table.csv", reference="long.csv:cutmix")),
        ("table.csv --sd 0.1", lambda: ss.audit("table.csv", sd=0.1)),
        ("table.csv --reference a2", lambda: ss.audit("table.csv", reference="a2")),
        ("losses.csv --sd 0.01 --unit none", lambda: ss.audit("losses.csv", sd=0.01, unit="none")),
    ],
    "scaling": [
        ("curve.csv --by family", lambda: ss.scaling("curve.csv", by="family")),
        ("curve.csv --cost flops --margin 2", lambda: ss.scaling("curve.csv", cost="flops", margin=2.0)),
    ],
    "import": [
        (
            "a.txt --study new -r a1 -m net -d mine --n-examples 10000",
            lambda: ss.import_files("a.txt", study="new2", recipe="a1", model="net", data="mine", n_examples=10_000),
        ),
        ("losses_a.csv --dry-run --metric val_loss", lambda: ss.inspect_files("losses_a.csv", metric="val_loss")),
    ],
    "recipes list": [("", choices.recipes)],
    "recipes show": [
        ("a2", lambda: choices.recipe("a2")),
        ("a2 -d shapes -m resnet8", lambda: choices.recipe("a2", model="resnet8", data="shapes")),
    ],
    "recipes diff": [("a1 a2 a3", lambda: choices.recipe_differences("a1", "a2", "a3"))],
    "recipes keys": [("", choices.recipe_keys)],
    "recipes models": [("a2", lambda: choices.recipe_models("a2"))],
    "data list": [("", ss.data_sets)],
    "data check": [
        ("shapes", lambda: ss.check_data("shapes")),
        ("digits --all", lambda: ss.check_data("digits", everything=True)),
        ("folder:photos", lambda: ss.check_data("folder:photos")),
    ],
    "data prepare": [
        (
            "folder:photos --short-side 100 --quality 80 -o small",
            lambda: ss.resize_data("folder:photos", "small", short_side=100, quality=80),
        ),
        (
            "folder:photos --short-side 32 --decoded -o plain",
            lambda: ss.resize_data("folder:photos", "plain", short_side=32, decoded=True),
        ),
    ],
}
"""Command -> its arguments, and the same question in Python."""
TRAINS = {"run", "evaluate", "pseudolabel", "cost", "cancel", "clean", "explain", "init", "plot", "schema"}
"""Need the extra ``train`` (tests/train/test_commands.py), or answer with a line, or a picture (test_pictures.py)."""
CASES = [
    pytest.param(
        name,
        arguments,
        ask,
        id=f"{name} {arguments}",
        marks=[pytest.mark.train] if "digits" in arguments else [],  # scikit-learn holds them
    )
    for name, questions in QUESTIONS.items()
    for arguments, ask in questions
]


@pytest.fixture(scope="module")
def folder(write_study: Callable[..., Store], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study that declares a margin, another one, and files of every kind."""
    tmp_path = tmp_path_factory.mktemp("questions")
    Store(tmp_path / "results", "main").plan(Study(recipes=("a2", "a3"), margin=MARGIN), [])
    write_study(tmp_path / "results", n_seeds=6, a3=0.75, a2=0.8)
    write_study(tmp_path / "results", "other", n_seeds=4, a2=0.7)
    rng = np.random.default_rng(0)
    for name, mean in (("a", 78.0), ("b", 78.3)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{x:.2f}\n" for x in rng.normal(mean, 0.1, 8)))
    for name, mean in (("a", 1.3), ("b", 1.1)):
        rows = "".join(f"{seed},{x:.4f}\n" for seed, x in enumerate(rng.normal(mean, 0.02, 8)))
        (tmp_path / f"losses_{name}.csv").write_text("seed,val_loss\n" + rows)
    cells = [(recipe, model, seed) for recipe in ("a1", "a2") for model in "mn" for seed in range(4)]
    grid = [f"{recipe},{model},{seed},{70 + rng.normal():.2f}" for recipe, model, seed in cells]
    (tmp_path / "grid.csv").write_text("recipe,model,seed,top1\n" + "\n".join(grid) + "\n")
    for name, mean in (("wide_a", 70.0), ("wide_b", 71.0)):
        rows = [f"{name},{d},{s},{mean + rng.normal():.2f}" for d in ("x", "y", "z") for s in range(4)]
        (tmp_path / f"{name}.csv").write_text("recipe,data,seed,top1\n" + "\n".join(rows) + "\n")
    runs = [(name, seed, gpu) for name in ("cutmix", "baseline") for seed, gpu in enumerate("ABA")]
    rows = [f"{name},{seed},{78 + len(name) / 5 + rng.normal() / 9:.2f},{gpu}" for name, seed, gpu in runs]
    (tmp_path / "long.csv").write_text("method,seed,top1,gpu\n" + "\n".join(rows) + "\n")
    (tmp_path / "columns.csv").write_text("seed,old,new\n0,78.1,79.2\n1,78.3,79.0\n2,78.2,\n")
    (tmp_path / "table.csv").write_text("model,val,v2\nr18,69.8,57.3\nr34,73.3,61.2\nr50,76.1,63.2\n")
    cells = [(family, 2.0**octave, seed) for family in "mn" for octave in range(6) for seed in range(2)]
    curve = [f"{f},{c:g},{s},{80 + (f == 'n') - 30 * c**-0.4 + rng.normal() / 5:.2f}" for f, c, s in cells]
    (tmp_path / "curve.csv").write_text("family,flops,seed,top1\n" + "\n".join(curve) + "\n")
    (tmp_path / "losses.csv").write_text("model,val_loss\nsmall,1.31\nlarge,1.10\n")
    for name in ("cat", "dog"):
        for n in range(5):
            write(tmp_path / "photos" / name / f"{n}.jpg", jpeg(n + len(name), size=(160, 120)))
    return tmp_path


@pytest.fixture
def study(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the study, with its folder as the current one; no test changes a trial of it."""
    monkeypatch.chdir(folder)
    return Store(folder / "results", "main")


def test_every_command_is_asked() -> None:
    from seedstudy.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands if not command.hidden}
    for group in app.registered_groups:
        names |= {f"{group.name} {command.name}" for command in group.typer_instance.registered_commands}
    assert names == set(QUESTIONS) | TRAINS


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(("command", "arguments", "ask"), CASES)
def test_command_and_python_give_the_same_document(command: str, arguments: str, ask: Ask, cli: Cli) -> None:
    code, out, err = cli(*command.split(), *arguments.split(), "--json")
    assert code == 0, err
    theirs, ours = json.loads(out), json.loads(json.dumps(document(ask()), allow_nan=False))
    if command == "import" and "study" in ours:  # each imports into a study of its own
        assert (theirs.pop("study"), ours.pop("study")) == ("new", "new2")
    assert theirs == ours


def test_a_declared_margin_decides_everywhere_and_belongs_to_its_study(study: Store) -> None:
    trials = ss.load_trials(study.root)
    assert ss.compare("a3", "a2")[0].rule.margin == MARGIN
    assert ss.compare(trials, "a3", "a2")[0].rule.margin == MARGIN
    assert ss.compare(trials.filter(trials["eval_set"] == "val"), "a3", "a2")[0].rule.margin == MARGIN
    assert ss.race("a3", "a2", replay=True).rule.plan.margin == MARGIN
    assert ss.compare("a.txt", "b.txt")[0].rule.margin is None
    assert ss.compare("a3", "a2", margin=1.0)[0].rule.margin == 1.0


def test_studies_that_declare_different_margins_are_not_compared_in_silence(
    study: Store, write_study: Callable[..., Store]
) -> None:
    write_study(study.root.parent, "strict", n_seeds=4, a1=0.7).plan(Study(recipes=("a1",), margin=0.5), [])
    with pytest.raises(StudyError, match=r"different margins \(0.5 and 4\)"):
        ss.compare("a3", "strict:a1")
    assert ss.compare("a3", "strict:a1", margin=2.0)[0].rule.margin == 2.0


def test_a_metric_has_one_direction_in_every_command(study: Store) -> None:
    losses = {"metric": "val_loss"}
    words = {
        "compare": ss.compare("losses_a.csv", "losses_b.csv", **losses)[0].verdict.word,
        "race": ss.race("losses_a.csv", "losses_b.csv", replay=True, **losses).pairs[0].verdict,
        "race --target": ss.race("losses_b.csv", replay=True, target=1.3, **losses).pairs[0].verdict,
    }
    assert set(words.values()) == {"better"}, words
    audit = ss.audit("losses.csv", sd=0.01, unit="none")
    assert audit.columns[0].rows[audit.columns[0].best] == "large"


@pytest.mark.parametrize("metric", ["val_thing", "thing"])
def test_a_direction_that_nobody_knows_is_asked_for(
    metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"seed,{metric}\n0,1.0\n1,1.1\n2,1.2\n")
    (tmp_path / "t.csv").write_text(f"model,{metric}\nx,1.0\ny,2.0\n")
    asks: list[Ask] = [
        lambda: ss.compare("a.csv", "b.csv", metric=metric),
        lambda: ss.race("a.csv", "b.csv", replay=True, metric=metric),
        lambda: ss.race("a.csv", replay=True, target=1.0, metric=metric),
        lambda: ss.audit("t.csv", sd=0.1, unit="none"),
    ]
    for ask in asks:
        with pytest.raises(StudyError, match="is higher or lower better"):
            ask()


@pytest.mark.parametrize(
    ("arguments", "ask"),
    [
        ("summary", ss.summary),
        ("fit a2", lambda: ss.fit("a2")),
        ("compare a3 a2", lambda: ss.compare("a3", "a2")),
        ("race --replay a3 a2", lambda: ss.race("a3", "a2", replay=True)),
        ("power --difference 5 --pilot a2", lambda: ss.power(pilots=["a2"], difference=5.0)),
        ("audit table.csv --reference a2", lambda: ss.audit("table.csv", reference="a2")),
    ],
)
def test_damage_is_a_note_in_both_and_the_other_trials_are_used(
    arguments: str, ask: Ask, folder: Path, cli: Cli, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    study = Store(tmp_path / "results", "main")
    victim = next(path for path in sorted(study.root.glob("trials/*/predictions.parquet")) if "a2_" in str(path))
    victim.write_bytes(b"PAR1")
    code, out, err = cli(*arguments.split(), "--json")
    answer = ask()
    assert json.loads(out) == json.loads(json.dumps(document(answer)))
    assert (code, len(answer.left_out)) == (2, 1)
    assert err == f"left out: {answer.left_out[0]}\n"
    assert victim.name in answer.left_out[0]
