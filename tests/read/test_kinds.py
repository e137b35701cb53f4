"""Three or more files of every kind that was once read wrongly: what is read from each, or why it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request
from tests.read.reading import write


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file, what is asked of it, and the values of each arm or a piece of the refusal."""

    text: str | Mapping[str, str]
    expected: str | Sequence[float] | Mapping[str, Sequence[float]]
    name: str = "runs.csv"
    pick: str = ""
    note: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict)


def table(head: str, *rows: str) -> str:
    return "\n".join((head, *rows)) + "\n"


def curve(clock: str, points: Sequence[float], *, last: float = 80.0, more: str = "", cells: str = "") -> str:
    n = len(points)
    return table(f"{clock},val_acc{more}", *[f"{x},{last - n + 1 + i}{cells}" for i, x in enumerate(points)])


FRACTION = {"unit": "fraction"}

KINDS: dict[str, list[Case]] = {
    "names of columns that no person wrote": [
        Case(text=table("seed,val_acc" + '{"a":' * 600, "0,79.1", "1,79.3"), expected="has a name of 3,007 letters"),
        Case(text=table("seed,acc," + "x_" * 501, "0,79.1,1", "1,79.3,2"), expected="give it a shorter one"),
        Case(text=table("seed,acc," + "x_" * 400, "0,79.1,1", "1,79.3,1"), expected=[79.1, 79.3]),
    ],
    "runs of several versions of the code": [
        Case(
            text="commit,acc\nabc1234,76.1\ndef5678,76.2\n0123abc,75.9\n",
            expected=[76.1, 76.2, 75.9],
            note="runs of 3 versions of the code (`commit`) are pooled",
        ),
        Case(
            text="seed,git_sha,acc\n0,abc1234,76.1\n1,abc1234,76.2\n2,def5678,75.9\n",
            expected=[76.1, 76.2, 75.9],
            note="compare them: --by git_sha",
        ),
        Case(
            text="seed,git_sha,acc\n0,abc1234,76.1\n1,abc1234,76.2\n0,def5678,75.9\n1,def5678,75.8\n",
            expected={"abc1234": [76.1, 76.2], "def5678": [75.9, 75.8]},
            asked={"by": ("git_sha",)},
        ),
        Case(text="seed,commit,acc\n0,abc1234,76.1\n1,abc1234,76.2\n", expected=[76.1, 76.2]),
    ],
    "comment lines": [
        Case(text="# lr 0.1\n# three seeds\nseed,acc\n0,79.1\n1,79.3\n# mean 79.2\n", expected=[79.1, 79.3]),
        Case(text="seed\tacc\n0\t79.1\n#1\t12.0\n1\t79.3\n", name="runs.tsv", expected=[79.1, 79.3]),
        Case(text="# seed,acc\n0,79.1\n1,79.3\n", expected=[79.1, 79.3]),
        Case(text="seed;acc\n0;79,1\n1;79,3\n\n# Mittel: 79,2\n", expected=[79.1, 79.3]),
        Case(text="# acc of three seeds\n79.1\n79.3\n79.2 # seed 2\n", name="a.txt", expected=[79.1, 79.3, 79.2]),
    ],
    "JSON lines under another name": [
        Case(
            text='{"epoch": 0, "test_acc1": 70.5}\n{"epoch": 1, "test_acc1": 71.5}\n', name="log.txt", expected=[71.5]
        ),
        Case(
            text='{"epoch": 0, "test_acc1": 70.5}\n{"epoch": 1, "test_acc1": 71.5}\n', name="log.json", expected=[71.5]
        ),
        Case(
            text={f"out/seed_{s}/log.txt": f'{{"train_loss": 2.0, "test_acc1": 8{s}.5, "epoch": 0}}\n' for s in (3, 4)},
            name="out/",
            expected=[83.5, 84.5],
        ),
        Case(text='{"seed": 0, "acc": 79.1}\n\n{"seed": 1, "acc": 79.3}\n', name="runs.jsonl", expected=[79.1, 79.3]),
    ],
    "eval sets of the file": [
        Case(
            text=table("seed,subset,acc", "0,train,99.0", "0,holdout,79.1", "1,train,98.0", "1,holdout,79.3"),
            expected=[79.1, 79.3],
            note="rows of subset train: left out",
        ),
        Case(
            text=table("seed,split,acc", "0,valid,79.1", "0,test,78.1", "1,valid,79.3", "1,test,78.3"),
            asked={"eval_sets": ("test",)},
            expected=[78.1, 78.3],
        ),
        Case(
            text=table("seed,val_acc,test_acc", "0,79.1,78.1", "1,79.3,78.3"),
            asked={"eval_sets": ("test",)},
            expected=[78.1, 78.3],
        ),
        Case(
            text=table("seed,split,acc", "0,valid,79.1", "1,valid,79.3"),
            asked={"eval_sets": ("test",)},
            expected="`split` holds valid",
        ),
    ],
    "one seed twice": [
        Case(text=table("Seed,acc", "1.0,79.1", ",79.2", "1.0,79.3"), expected="seed 1 is in several rows"),
        Case(text=table("config/seed,acc", "s1,79.1", "s2,79.2", "s01,79.3"), expected="seed 1 is in several rows"),
        Case(
            text='[{"hparams": {"seed": 3}, "acc": 79.1}, {"hparams": {"seed": "3"}, "acc": 79.3}]',
            name="runs.json",
            expected="seed 3 is in several rows",
        ),
        Case(text=table("random_state,acc", "7,79.1", "07,79.2"), expected="seed 7 is in several rows"),
        Case(text=table("run,acc", "seed=5,79.1", "seed=6,79.2", "seed=5,79.4"), expected="seed 5 is in several rows"),
    ],
    "no header": [
        Case(text="76.12\n76.33\n", name="numbers.tsv", expected=[76.12, 76.33]),
        Case(text="0,76.12\n1,76.33\n", expected="the first line holds numbers, not column names"),
        Case(text="76.12 76.33 76.20\n", name="a.txt", expected=[76.12, 76.33, 76.20]),
        Case(text="76.12\noops\n", expected='line 2: "oops" is not a number'),
        Case(text="\n76.12\n\n76.33", expected=[76.12, 76.33]),
    ],
    "numbers of any size": [
        Case(text="1e180\n2e180\n", name="a.txt", asked={"metric": "loss"}, expected="too large to compute with"),
        Case(text="1e-180\n2e-180\n", name="a.txt", asked={"metric": "loss"}, expected="too small to compute with"),
        Case(text=table("seed,loss", "0,1e300", "1,-1e308"), asked={"metric": "loss"}, expected="too large"),
        Case(text=table("seed,loss", "0,1e100", "1,2e100"), asked={"metric": "loss"}, expected=[1e100, 2e100]),
    ],
    "a file cut short": [
        Case(text="epoch,acc,lr\n0,78.1,0.1\n1,79.1,0.1\n2,8", expected=[79.1], note="line 4 is cut short (2 of 3"),
        Case(text="seed,acc,lr\n0,78.1,0.1\n1,79\n2,79.3,0.1\n", expected="line 3: 2 cells where the head has 3"),
        Case(
            text='{"epoch": 0, "acc": 78.1}\n{"epoch": 1, "acc": 79.1}\n{"epoch": 2, "acc": 8',
            name="log.jsonl",
            expected=[79.1],
            note="line 3 is cut short",
        ),
        Case(text='[{"seed": 0, "acc": 78.1},\n{"seed": 1, "ac', name="runs.json", expected="runs.json, line 2"),
        Case(text='{"acc": 78.1}\n{"acc": 7\n{"acc": 79.1}\n', name="runs.jsonl", expected="runs.jsonl, line 2"),
    ],
    "an evaluation after the training": [
        Case(
            text=table(
                "epoch,step,train_loss,val_acc", "0,9,1.0,", "0,9,,78.1", "1,19,0.9,", "1,19,,79.1", "2,20,,99.0"
            ),
            expected=[79.1],
            note="`epoch` 2 (99) was measured after the training",
        ),
        Case(
            text=table("epoch,train_acc,val_acc", "1,70,78.1", "2,80,79.1", "3,,99.0"),
            expected=[79.1],
            note="was measured after the training",
        ),
        Case(
            text=table("epoch,step,train_loss,val_acc,test_acc", "0,9,1.0,,", "0,9,,78.1,", "1,10,,,77.1"),
            asked={"metric": "test_acc"},
            expected=[77.1],
        ),
        Case(
            text=table("epoch,step,train_loss,val_acc", "0,0,,10.0", "0,9,1.0,", "1,10,1.0,", "1,10,,79.1"),
            expected=[79.1],
        ),
    ],
    "a long table of arms": [
        Case(
            text=table(
                "method,seed,step,acc",
                *[f"{m},{s},{t},{70 + t + s / 10}" for m in "ab" for s in (0, 1) for t in (1, 2)],
            ),
            expected='column "method" holds a, b',
        ),
        Case(
            text=table(
                "method,seed,step,acc",
                *[f"{m},{s},{t},{70 + t + s / 10}" for m in "ab" for s in (0, 1) for t in (1, 2)],
            ),
            pick="method=b",
            expected=[72.0, 72.1],
        ),
        Case(
            text=table(
                "lr,seed,epoch,acc",
                *[f"{lr},{s},{t},{70 + t + lr}" for lr in (0.1, 0.2) for s in (0, 1) for t in (1, 2)],
            ),
            expected='column "lr" holds 0.1, 0.2',
        ),
        Case(
            text=table(
                "aug,seed,epoch,acc",
                *[f"{a},{s},{t},{70 + t + s / 10}" for a, s in zip("aabb", range(4), strict=True) for t in (1, 2)],
            ),
            expected='column "aug" holds a, b',
        ),
        Case(
            text=table("aug,epoch,acc", *[f"{a},{t},{70 + t}" for a in "ab" for t in (1, 2, 3)]),
            asked={"by": ("aug",)},
            expected={"a": [73.0], "b": [73.0]},
        ),
    ],
    "percent and fraction in one column": [
        Case(text=table("seed,top1", "0,0.79", "1,79.3", "2,79.4"), expected="0.79 among percents"),
        Case(text=table("seed,top1", "0,0.79", "1,0.80", "2,79.4"), expected="0.79 among percents"),
        Case(text="[79.1, 1.0, 79.3]", name="a.json", expected="1 among percents"),
        Case(text=table("seed,top1", "0,0.9", "1,79.3"), asked={"unit": "percent"}, expected=[0.9, 79.3]),
        Case(text=table("seed,top1", "0,79.1%", "1,79.3%"), expected=[79.1, 79.3]),
        Case(text=table("seed,top1", "0,0.5%", "1,0.7%"), expected=[0.5, 0.7]),
        Case(text=table("seed,pruned,top1", "0,10%,0.79", "1,10%,0.80"), expected="percent or fraction?"),
        Case(text=table("seed,Top-1 (%)", "0,0.5", "1,0.7"), expected=[0.5, 0.7]),
    ],
    "settings that differ": [
        Case(
            text=table("run_id,params.width,metrics.acc", "a1b2c3d4e5f6,64,79.1", "b1b2c3d4e5f6,128,79.3"),
            expected="params.width",
        ),
        Case(text=table("lr,weight_decay,acc", "0.1,0.01,79.1", "0.1,0.02,79.3"), expected='column "weight_decay"'),
        Case(text=table("n_images,acc", "100,70.1", "200,75.1", "400,79.3"), expected='column "n_images"'),
        Case(
            text=table("seed,batch_size,acc", "0,64,79.1", "1,64,79.2", "2,128,79.3", "3,128,79.4"),
            expected='column "batch_size" holds 64, 128',
        ),
        Case(text=table("zork,acc", "0.5,79.1", "0.7,79.3"), expected='column "zork" holds 0.5, 0.7'),
        Case(
            text=table("lr,acc", "0.1,79.1", "0.2,79.3"),
            asked={"pool": True},
            expected=[79.1, 79.3],
            note="pooled as you say: the rows differ in `lr`",
        ),
        Case(
            text={
                f"runs/try{i}/{name}": text
                for i, lr in enumerate((0.1, 0.2))
                for name, text in (("metrics.csv", "epoch,acc\n0,79.1\n"), ("hparams.yaml", f"lr: {lr}\nseed: {i}\n"))
            },
            name="runs/",
            expected='column "lr" holds 0.1, 0.2',
        ),
    ],
    "a seed twice under a logger's name": [
        Case(
            text=table("params.random_seed,metrics.acc", "1,79.1", "1,79.3"),
            asked={"metric": "metrics.acc"},
            expected="seed 1 is",
        ),
        Case(
            text=table("Name,seed,State,acc", "a-1,1,finished,79.1", "b-2,1,finished,79.3"),
            expected="seed 1 is in several",
        ),
        Case(
            text=table("Name,seed,State,acc", "a-1,1,finished,79.1", "b-2,1,crashed,9.3", "c-3,2,finished,79.4"),
            expected=[79.1, 79.4],
        ),
        Case(
            text=table("hp.seed,experiment_id,acc", "1,7,79.1", "2,7,79.2", "2,7,79.3"),
            expected="seed 2 is in several rows",
        ),
    ],
    "values with signs": [
        Case(
            text=table("model,seed,acc", "org/a,0,79.1", "org/a,1,79.3", "b,0,70"),
            pick="model=org/a",
            expected=[79.1, 79.3],
        ),
        Case(
            text=table("data,seed,acc", "hf:c10,0,79.1", "hf:c10,1,79.3", "b,0,70"),
            pick="data=hf:c10",
            expected=[79.1, 79.3],
        ),
        Case(
            text=table("betas,seed,acc", '"0.9,0.99",0,79.1', '"0.9,0.99",1,79.3', '"0.9,0.95",0,70'),
            pick="betas=0.9,0.99",
            expected=[79.1, 79.3],
        ),
        Case(
            text=table("args,seed,acc", '"lr=1,wd=2",0,79.1', '"lr=1,wd=2",1,79.3', '"lr=2,wd=2",0,70'),
            pick="args='lr=1,wd=2'",
            expected=[79.1, 79.3],
        ),
        Case(
            text=table("my model,kind,seed,acc", "a b,x,0,79.1", "a b,x,1,79.3", "a b,y,0,70"),
            pick="my model=a b,kind=x",
            expected=[79.1, 79.3],
        ),
        Case(
            text=table("method,seed,acc", "a,0,79.1", "a,1,79.3", "b,0,70"),
            pick="method=c",
            expected='no row has method = "c"',
        ),
    ],
    "words for how a run ended": [
        Case(text=table("seed,state,acc", "0,TrialState.COMPLETE,79.1", "1,TrialState.PRUNED,9"), expected=[79.1]),
        Case(
            text=table("seed,status,acc", "0,TERMINATED,79.1", "1,TERMINATED,79.3", "2,ERROR,9"), expected=[79.1, 79.3]
        ),
        Case(text=table("seed,status,acc", "0,SUCCEEDED,79.1", "1,EARLY_STOPPED,9"), expected=[79.1]),
        Case(text=table("seed,status,acc", "0,zork,79.1", "1,finished,79.3"), expected='`status` holds "zork"'),
        Case(text=table("seed,outcome,acc", "0,FINISHED,79.1", "1,KILLED,9"), expected=[79.1]),
    ],
    "picks by the file's own words": [
        Case(text=table("arch,seed,acc", "a,0,79.1", "a,1,79.3", "b,0,70"), pick="arch=a", expected=[79.1, 79.3]),
        Case(text=table("Dataset,seed,acc", "a,0,79.1", "a,1,79.3", "b,0,70"), pick="Dataset=a", expected=[79.1, 79.3]),
        Case(
            text=table("model_name,seed,acc", "a,0,79.1", "a,1,79.3", "b,0,70"),
            pick="model_name=a",
            expected=[79.1, 79.3],
        ),
        Case(text=table("Random_Seed,acc", "5,79.1", "6,79.3"), pick="Random_Seed=6", expected=[79.3]),
        Case(
            text=table("method,seed,acc", "base 1,0,79.1", "base 2,1,79.3", "b,0,70"),
            pick="method=base*",
            expected=[79.1, 79.3],
        ),
    ],
    "values as written": [
        Case(text=table("wd,seed,acc", "5e-4,0,79.1", "5e-4,1,79.3", "0,0,70"), pick="wd=5e-4", expected=[79.1, 79.3]),
        Case(
            text=table("wd,seed,acc", "5e-4,0,79.1", "5e-4,1,79.3", "0,0,70"), pick="wd=0.0005", expected=[79.1, 79.3]
        ),
        Case(text=table("lr,seed,acc", ".10,0,79.1", ".10,1,79.3", "1,0,70"), pick="lr=.10", expected=[79.1, 79.3]),
        Case(
            text=table("ema,seed,acc", "True,0,79.1", "True,1,79.3", "False,0,70"),
            pick="ema=True",
            expected=[79.1, 79.3],
        ),
        Case(
            text='[{"ema": true, "acc": 79.1}, {"ema": false, "acc": 70.1}]',
            name="r.json",
            pick="ema=true",
            expected=[79.1],
        ),
    ],
    "a metric named for plain numbers": [
        Case(text="0.5\n0.6\n", name="a.txt", asked={"metric": "val_loss"}, expected=[0.5, 0.6]),
        Case(text="[0.5, 0.6]", name="a.json", asked={"metric": "error"}, expected=[0.5, 0.6]),
        Case(text="0.5\n0.6\n", name="a.txt", asked={"metric": "f1"}, expected=[0.5, 0.6]),
        Case(text="0.5\n0.6\n", name="a.txt", asked={"metric": "val_acc"}, expected="percent or fraction?"),
    ],
    "a clock of any name": [
        *[
            Case(text=curve(clock, points), expected=[80.0])
            for clock, points in (
                ("iter", range(10)),
                ("round", range(1, 6)),
                ("total_timesteps", range(2048, 20480, 2048)),
                ("Epoch #", range(5)),
                ("time/iterations", range(1, 8)),
                ("samples_seen", range(512, 5120, 512)),
                ("_step", (0, 7, 9)),
                ("Training Step", range(0, 500, 100)),
            )
        ],
        Case(text=curve("zork", range(12)), expected="points of one run (--clock zork), or a seed in each row"),
        Case(text=curve("zork", range(12)), asked={"clock": "zork"}, expected=[80.0]),
        Case(
            text=table("seed,zork,acc", *[f"{s},{t},{70 + t + s / 10}" for s in range(3) for t in range(12)]),
            expected=[81.0, 81.1, 81.2],
        ),
        Case(
            text=table(
                "trial_id,training_iteration,acc",
                *[f"ab{s}_00000,{t},{70 + t + s / 10}" for s in range(2) for t in (1, 2, 3)],
            ),
            expected=[73.0, 73.1],
        ),
    ],
    "tables of means": [
        Case(
            text=table("config,acc_mean,acc_std", "a,79.1,0.1", "b,79.3,0.2"),
            asked={"metric": "acc_mean"},
            expected="the rows are means",
        ),
        Case(text=table("model,top1,top1_ci95", "a,79.1,0.1", "b,79.3,0.2"), expected="the rows are means"),
        Case(text=table("setup,top1,n_seeds", "a,79.1,5", "b,79.3,5"), expected="the rows are means"),
        Case(
            text=table("Method,Top-1", "ResNet-18,70.1", "ResNet-34,73.3", "ResNet-50,76.1"),
            expected='column "Method" holds ResNet-18',
        ),
        Case(text=table("name,acc", "baseline,79.1", "cutmix,79.3"), expected='column "name" holds baseline, cutmix'),
        Case(text=table("method,top1", "a,79.1 ± 0.1", "b,79.3 ± 0.1"), expected="a mean without its number of seeds"),
    ],
    "times, places and ids": [
        Case(
            text=table("started,seed,acc", "2026-03-01 10:00,0,79.1", "2026-03-01 10:00,1,79.3"), expected=[79.1, 79.3]
        ),
        Case(
            text=table("method,gpu,seed,acc", "a,A100,0,79.1", "a,V100,1,79.3", "b,A100,0,70"),
            pick="method=a",
            expected=[79.1, 79.3],
        ),
        Case(text=table("log,seed,acc", "/data/r/0,0,79.1", "/data/r/1,1,79.3"), expected=[79.1, 79.3]),
        Case(
            text=table("commit,seed,acc", "ab12cd3,0,79.1", "ab12cd3,1,79.3", "0f12cd3,2,79.2"),
            expected=[79.1, 79.3, 79.2],
        ),
        Case(text=table("host,seed,acc", "n1,0,79.1", "n1,1,79.3", "n2,2,79.2"), expected=[79.1, 79.3, 79.2]),
        Case(text=table("run_name,seed,acc", "base_s0,0,79.1", "base_s1,1,79.3"), expected=[79.1, 79.3]),
    ],
    "padding": [
        Case(text="  epoch ,  metrics/accuracy_top1 \n   1,  78.0 \n   2,  79.1 \n", expected=[79.1]),
        Case(text='"seed" , "acc"\n"0" , "79.1"\n"1" , "79.3"\n', expected=[79.1, 79.3]),
        Case(text="seed\t  acc  \n0\t 79.1\n1\t 79.3\n", name="runs.tsv", expected=[79.1, 79.3]),
        Case(
            text=table("method ,seed, acc", "a ,0,79.1", " a,1,79.3", "b,0,70"), pick="method=a", expected=[79.1, 79.3]
        ),
    ],
    "a second run in one file": [
        Case(
            text=table("epoch,acc", "1,70.0", "2,75.2", "1,60.0", "2,61.2"),
            expected='"epoch" starts again (at 1 after 2)',
        ),
        Case(
            text=table("step,acc", "10,70.0", "20,75.2", "30,76", "10,60.0"),
            expected='"step" starts again (at 10 after 30)',
        ),
        Case(text="epoch,acc\n1,70.0\n2,75.2\nepoch,acc\n1,60.0\n2,61.2\n", expected='"epoch" starts again'),
        Case(
            text=table("epoch,acc", "0,70", "1,71", "2,72", "3,73", "2,72.5", "3,73.5", "4,74"),
            expected=[74.0],
            note="a resumed run",
        ),
        Case(
            text="seed,acc\n0,79.1\nseed,acc\n1,79.3\n", expected=[79.1, 79.3], note="line 3 repeats the column names"
        ),
    ],
    "charts": [
        Case(
            text=table("Step,Group: a - acc,Group: a - acc__MIN,Group: a - acc__MAX", "1,79.1,78.0,80.0"),
            expected="grouped runs",
        ),
        Case(
            text=table(
                "epoch,lr: 0.1 - val/acc,lr: 0.1 - val/acc__MIN,lr: 0.1 - val/acc__MAX", "1,79,79,79", "2,80,79,81"
            ),
            expected="grouped runs",
        ),
        Case(text=table("Step,glad-sun-1 - acc,odd-sea-2 - acc", "1,78.0,78.5", "2,79.1,79.3"), expected=[79.1, 79.3]),
        Case(
            text=table("Step,base - acc,base - acc__MIN,base - acc__MAX,new - acc", "1,79,79,79,80"),
            expected='column "name" holds base, new',
        ),
    ],
    "points of one run without a clock": [
        Case(
            text='{"loss": [2.3, 1.9, 1.5], "val_acc": [31.0, 49.9, 58.1]}',
            name="h.json",
            expected="points of one run?",
        ),
        Case(text='{"acc": 70.1}\n{"acc": 75.2}\n{"acc": 78.9}\n', name="log.jsonl", expected="runs from 70.1 to 78.9"),
        Case(text=table(",train_loss,val_acc", "0,2.3,30", "1,1.9,50", "2,1.5,60"), expected="points of one run?"),
        Case(text="30.1\n50.2\n60.3\n65.1\n", name="a.txt", expected="--pool if each row is a run"),
        Case(text="30.1\n50.2\n60.3\n", name="a.txt", asked={"pool": True}, expected=[30.1, 50.2, 60.3]),
        Case(text="78.1\n78.2\n78.3\n78.4\n78.9\n", name="a.txt", expected=[78.1, 78.2, 78.3, 78.4, 78.9]),
        Case(text=table("baseline,cutmix", "30,31", "50,52", "60,61", "65,66"), expected="points of one run?"),
        Case(text=table("run,acc", "1,70", "2,75", "3,78"), expected=[70.0, 75.0, 78.0]),
        Case(text=table("loss", "3.1", "2.4", "1.9"), asked={"metric": "loss"}, expected=[3.1, 2.4, 1.9]),
        Case(
            text=table("loss", "3.1", "2.4", "1.9", "1.6", "1.5"),
            asked={"metric": "loss"},
            expected='"loss" runs from 3.1 to 1.5',
        ),
    ],
    "numbers of checkpoints": [
        Case(
            text=table("ckpt,acc", "1000,70.1", "2000,70.2", "3000,70.3"), expected="points of one run (--clock ckpt)"
        ),
        Case(
            text=table("checkpoint,acc", *[f"out/run/checkpoint-{n}/model.bin,70.{n}" for n in (1000, 2000)]),
            expected='column "checkpoint" holds out/run/checkpoint-1000',
        ),
        Case(text=table("checkpoint,acc", "step_1000,70.1", "step_2000,70.3"), expected='column "checkpoint"'),
        Case(
            text=table("checkpoint,seed,acc", "out/a/checkpoint-90/m.bin,0,70.1", "out/b/checkpoint-88/m.bin,1,70.3"),
            expected=[70.1, 70.3],
        ),
    ],
    "a name before each number": [
        Case(
            text="resnet18: 69.7\nresnet34: 73.3\nresnet50: 76.1\n", name="r.txt", expected="holds resnet18, resnet34"
        ),
        Case(text="A1 80.4\nA2 79.8\nA3 78.1\n", name="r.txt", expected="holds A1, A2, A3"),
        Case(text="resnet18,69.7\nresnet34,73.3\nresnet50,76.1\n", expected="holds resnet18, resnet34"),
        Case(text="baseline: 78.1\ncutmix: 79.3\n", name="r.txt", expected="holds baseline, cutmix"),
        Case(text="epoch 1: 70.1\nepoch 2: 75.2\nepoch 3: 78.1\n", name="r.txt", expected=[78.1]),
        Case(text="step 100: 3.2\nstep 200: 3.0\n", name="r.txt", asked={"metric": "loss"}, expected=[3.0]),
        Case(text="fold 1: 78.1\nfold 2: 78.3\n", name="r.txt", expected=[78.1, 78.3]),
        Case(text="Seed 1: 78.1\nSeed 2: 78.3\n", name="r.txt", expected=[78.1, 78.3]),
    ],
    "names of rows without a head": [
        Case(text=table(",acc", "baseline,79.1", "cutmix,79.7"), expected='column "column 1" holds baseline, cutmix'),
        Case(text=table("Unnamed: 0,acc", "baseline,79.1", "cutmix,79.7"), expected="holds baseline, cutmix"),
        Case(text=table(",acc,loss", "r18,79.1,1", "r34,79.7,1", "r50,79.9,1"), expected="holds r18, r34, r50"),
        Case(text=table(",acc", "0,79.1", "1,79.7"), expected=[79.1, 79.7]),
        Case(text=table(",acc", "run_0,79.1", "run_1,79.7"), expected=[79.1, 79.7]),
    ],
    "a head above the names of rows": [
        Case(
            text=table("seed,0,1,2", "baseline,78.2,78.6,78.3", "cutmix,79.4,79.1,79.6"),
            expected={"baseline": [78.2, 78.6, 78.3], "cutmix": [79.4, 79.1, 79.6]},
        ),
        Case(
            text=table("random_state,7,42", "sgd,78.2,78.6", "adam,79.4,79.1"),
            expected={"sgd": [78.2, 78.6], "adam": [79.4, 79.1]},
        ),
        Case(text=table("Seed;11;12", "alt;78,2;78,6", "neu;79,4;79,1"), pick="neu", expected=[79.4, 79.1]),
    ],
    "metrics that may be arms": [
        Case(
            text=table("seed,clean_acc,robust_acc", "0,85.1,50.2", "1,85.4,50.9"),
            expected="are `clean_acc` and `robust_acc` arms, or several metrics of the same runs?",
        ),
        Case(
            text=table("seed,clean_acc,robust_acc", "0,85.1,50.2", "1,85.4,50.9"),
            asked={"metric": "robust_acc"},
            expected=[50.2, 50.9],
        ),
        Case(
            text=table("seed,teacher_acc,student_acc", "0,85.1,80.2", "1,85.4,80.9"),
            pick="student_acc",
            expected=[80.2, 80.9],
        ),
        Case(text=table("seed,acc_clean,acc_corrupted", "0,85.1,50.2", "1,85.4,50.9"), expected="or several metrics"),
        Case(
            text=table("seed,baseline_acc,cutmix_acc", "0,78.1,79.2", "1,78.4,79.9"),
            expected={"baseline": [78.1, 78.4], "cutmix": [79.2, 79.9]},
        ),
        Case(text=table("seed,cifar10,cifar100", "0,94.1,76.2", "1,94.4,76.9"), expected='no column "top1"'),
    ],
    "a second run behind a count that continues": [
        Case(
            text=table("step,epoch,acc", "1,1,70", "2,2,75", "3,1,71", "4,2,76"),
            expected='"epoch" starts again (at 1 after 2) while another one counts on',
        ),
        Case(
            text=table("step,epoch,acc", "4,2,76", "2,2,75", "1,1,70", "3,1,71"),  # in any order of the lines
            expected='"epoch" starts again (at 1 after 2)',
        ),
        Case(text=table("epoch,iter,step,acc", "1,1,1,70", "1,2,2,71", "2,1,3,72", "2,2,4,73"), expected=[73.0]),
        Case(text=table("iter,step,acc", *[f"{i % 2 + 1},{i},7{i}" for i in range(6)]), expected=[75.0]),
        Case(
            text=table("seed,epoch,step,acc", "0,1,10,70", "0,2,20,75", "1,1,30,71", "1,2,40,76"), expected=[75.0, 76.0]
        ),
    ],
    "what people wrote about runs": [
        Case(
            text=table("seed,comment,acc", "0,baseline,69.7", "1,cutmix,69.9"),
            expected=[69.7, 69.9],
            note="the remarks in `comment` differ (baseline, cutmix)",
        ),
        Case(
            text=table("Name,Tags,acc", "a-sun-1,old,69.7", "b-sea-2,new,69.9"), expected='column "Tags" holds old, new'
        ),
        Case(
            text=table("id,Notes,acc", "1,tuned lr,69.7", "2,,69.9", "3,first try,69.8"),
            expected=[69.7, 69.9, 69.8],
            note="the remarks in `Notes` differ",
        ),
        Case(text=table("output_dir,acc", "runs/baseline/0,69.7", "runs/cutmix/0,70.1"), expected="runs/baseline/0"),
        Case(text=table("output_dir,acc", "runs/baseline/0,69.7", "runs/baseline/1,70.1"), expected=[69.7, 70.1]),
        Case(
            text=table("seed,warmup_epochs,acc", "0,5,69.7", "1,10,70.1"), expected='column "warmup_epochs" holds 5, 10'
        ),
    ],
    "tables of other programs": [
        Case(
            text="| method | seed | acc |\n|---|---:|---|\n| a | 0 | **78.1** |\n| a | 1 | 78.2 |\n",
            expected=[78.1, 78.2],
        ),
        Case(text="seed acc\n0 78.1\n1 78.2\n", expected=[78.1, 78.2]),
        Case(
            text=table("Wall time,Step,Value", "1.7e9,0,0.5", "1.8e9,1,0.6"),
            asked={"unit": "fraction"},
            expected=[60.0],
        ),
        Case(text=table("method,acc", "a,78.1 (0.1)", "b,79.1 (0.2)"), expected="a mean and its spread?"),
    ],
    "tables of runs with a column of steps": [
        Case(
            text=table(
                "Name,State,lr,acc,_step", "glad-sun-1,finished,0.1,79.1,999", "odd-sea-2,finished,0.2,79.3,999"
            ),
            expected='column "lr" holds 0.1, 0.2',
        ),
        Case(
            text=table(
                "Name,State,lr,acc,_step", "glad-sun-1,finished,0.1,79.1,999", "odd-sea-2,finished,0.1,79.3,999"
            ),
            expected=[79.1, 79.3],
        ),
        Case(
            text=table("ID,seed,acc,epoch", "x1,0,79.1,300", "x2,1,79.3,300", "x3,2,79.2,299"),
            expected=[79.1, 79.3, 79.2],
            note="ended at different epochs",
        ),
        Case(
            text=table(
                "Name,lr,wd,acc,trainer/global_step",
                "glad-sun-1,0.1,1,79.1,0",
                "odd-sea-2,0.1,2,79.3,0",
                "red-sky-3,0.2,1,70,0",
            ),
            pick="lr=0.1",
            expected=[79.1, 79.3],
            note="the rows of one arm differ in `wd`",
        ),
    ],
}


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"{kind}-{i}") for kind, cases in KINDS.items() for i, c in enumerate(cases)]
)
def test_every_file_of_the_kind(case: Case) -> None:
    for name, text in ({case.name: case.text} if isinstance(case.text, str) else case.text).items():
        write(name, text)
    selector = case.name + (f":{case.pick}" if case.pick else "")
    if isinstance(case.expected, str):
        with pytest.raises(SeedstudyError) as caught:
            read_groups(selector, Request(**case.asked))
        message = str(caught.value)
        assert case.expected in message
        assert len(message.splitlines()) == 1
        return
    groups = read_groups(selector, Request(**case.asked))
    expected = case.expected if isinstance(case.expected, dict) else {groups[0].label: case.expected}
    assert {g.label: g.values.tolist() for g in groups} == {k: pytest.approx(list(v)) for k, v in expected.items()}
    assert groups[0].read is not None
    assert any(case.note in note for note in groups[0].notes) or not case.note
    assert json.dumps(groups[0].read.line())


def test_every_kind_has_at_least_three_files() -> None:
    assert min(map(len, KINDS.values())) >= 3
