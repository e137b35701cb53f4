"""Every value of the packaged recipes against facts written down by hand, apart from the recipe files."""

from __future__ import annotations

import ast
import csv
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from seedstudy.read.published import gpu_hours
from seedstudy.recipes.reader import RecipeFile, packaged_names, parse_assignments, read_recipe
from seedstudy.recipes.recipe import KEYS, OPTIONAL
from seedstudy.recipes.scaling import imagenet_updates
from tests.imagenet_tree import SHARED
from tests.recipes.changes import changes

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
LADDER = [f"rs{step:02d}" for step in range(11)]


def table(name: str) -> list[dict[str, str]]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


FACTS = table("recipe_facts.csv")
RECIPES = tuple(FACTS[0])[1:]


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_has_the_published_values(name: str) -> None:
    values = read_recipe(name).described(None)
    facts = {row["key"]: row[name] for row in FACTS if row[name]}
    if updates := facts.pop("updates", None):
        assert imagenet_updates(values) == int(updates)
    expected = parse_assignments(f"{key}={text}" for key, text in facts.items())
    assert {key: values[key] for key in expected} == expected


def test_the_facts_cover_every_key_of_rsb() -> None:
    """What RSB says nothing about is listed here, so that a new key must take a side."""
    not_in_rsb = {"momentum", "rms_decay", "batch_norm_momentum", "batch_norm_eps", "random_erasing_fill"}
    not_in_rsb |= {"ema_every", "ema_start_epochs", "ema_warmup", "se_ratio", "resnet_d"}
    not_in_rsb |= OPTIONAL.keys()
    with_fact = {row["key"] for row in FACTS if row["a2"]}
    assert with_fact - {"updates"} == set(KEYS) - not_in_rsb


@pytest.mark.parametrize("name", packaged_names())
def test_every_packaged_value_names_its_source_or_why_there_is_none(name: str) -> None:
    file = read_recipe(name)
    for model in (None, *file.models):
        gaps = set(file.gaps(model))
        assert gaps <= set(file.missing) | (
            {key for own in file.models.values() for key in own} if not model else set()
        )
    assert all(file.sources[key] for key in file.values)
    assert all(file.missing.values())
    assert file.models_source


@pytest.mark.parametrize("name", packaged_names())
def test_every_packaged_recipe_is_whole_for_each_of_its_models(name: str) -> None:
    file = read_recipe(name)
    assert file.models
    for model in file.models:
        if name in IN_NO_FILE:
            assert {"lr", "batch_size"} & set(file.gaps(model)) or name == "fams"
            assert set(file.gaps(model)) <= set(file.missing)
        else:
            assert file.gaps(model) in ((), ("micro_batch",), ("init",))  # which weights to start from is the user's
            file.for_model(model, given={"micro_batch": 256, "init": "x.pth"})  # its values fit together


IN_NO_FILE = ("rsb_b", "rsb_c", "rsb_d", "fams", "efficientnet_rs")
"""Recipes of which the files that were read hold a part."""


@pytest.mark.parametrize("name", IN_NO_FILE)
def test_what_no_file_holds_is_missing_and_can_be_given(name: str) -> None:
    """Values that fit every gap make the recipe whole; nothing was invented in their place."""
    file = read_recipe(name)
    given = {"epochs": 100, "lr": 0.1, "weight_decay": 1e-4, "batch_size": 256, "micro_batch": 64, "warmup_epochs": 5.0}
    given |= {"warmup_lr": 0.0, "min_lr": 0.0, "label_smoothing": 0.0, "mixup_alpha": 0.1, "cutmix_alpha": 1.0}
    given |= {"randaugment": "rand-m7-mstd0.5-inc1", "random_erasing": 0.0, "repeated_augmentation": 1}
    given |= {"drop_path": 0.0, "dropout": 0.0, "schedule": "cosine", "optimizer_eps": 1e-3, "momentum": 0.9}
    given |= {"rms_decay": 0.9, "ema_decay": None, "clip_grad_norm": None, "betas": (0.9, 0.999)}
    given |= {"bce_target_threshold": None, "train_size": 224, "test_size": 224, "decay_norm": True, "decay_bias": True}
    given |= {"auto_augment": "v0"}
    assert len(file.gaps("resnet50")) >= 5
    recipe = file.for_model("resnet50", given={key: given[key] for key in file.gaps("resnet50")})
    assert recipe.name == name


@pytest.mark.parametrize("name", packaged_names())
def test_differences_from_the_source_are_sentences(name: str) -> None:
    differences = read_recipe(name).differences
    assert differences
    assert all(each.endswith(".") and each[0].isupper() for each in differences)


TABLE_3 = table("rsb_table3.csv")


@pytest.mark.parametrize("row", TABLE_3, ids=lambda row: row["model"])
def test_sizes_and_gpus_of_rsb_table_3(row: dict[str, str]) -> None:
    """Batch norm sees what one GPU holds: its share of the batch of 2048."""
    for name, suffix in SUFFIXES.items():
        file = read_recipe(name)
        assert len(file.models) == 25
        recipe = file.for_model(row["model"])
        assert row["model"] in file.models
        assert (recipe.train_size, recipe.test_size) == (int(row[f"train{suffix}"]), int(row[f"test{suffix}"]))
        assert recipe.micro_batch * int(row[f"gpus{suffix}"]) == recipe.batch_size == 2048


STUDY = ROOT / "studies" / "rsb_table3"
SUFFIXES = {"a1": "", "a2": "", "a3": "_a3"}
"""Of the columns that A1 and A2 share."""


def study_table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((STUDY / name).read_text(encoding="utf-8").splitlines()))


def test_hours_memory_and_accuracies_of_rsb_table_3() -> None:
    """What `power --cost`, benchmarks/gpu.py and the study of the published table hold is in the table."""
    assert len(TABLE_3) == 25
    top1 = {row["architecture"]: row for row in study_table("table3.csv")}
    assert list(top1) == [row["architecture"] for row in TABLE_3]
    script = ast.parse((ROOT / "benchmarks" / "gpu.py").read_text(encoding="utf-8"))
    (memory,) = (
        ast.literal_eval(node.value)
        for node in script.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TABLE_3_GB"
    )
    assert memory == {row["model"]: (float(row["memory"]), float(row["memory_a3"])) for row in TABLE_3}
    for row in TABLE_3:
        assert top1[row["architecture"]]["top1_original"] == row["original"]
        assert bool(row["original"]) == bool(row["original_by"])
        for name, suffix in SUFFIXES.items():
            assert gpu_hours(row["model"], name) == float(row[f"hours_{name}"]) * int(row[f"gpus{suffix}"])
            assert top1[row["architecture"]][f"top1_{name}"] == row[f"top1_{name}"]


def test_published_weights_have_the_accuracies_of_rsb_table_3() -> None:
    """Timm's weights of the same trainings: the table's last digit is rounded, here and there cut off."""
    cells = [(row[f"weights_{name}"], row[f"top1_{name}"]) for row in TABLE_3 for name in SUFFIXES]
    gaps = [abs(float(weights) - float(printed)) for weights, printed in cells if weights]
    assert len(gaps) == 27
    assert max(gaps) < 0.07
    (resnet50,) = (row for row in TABLE_3 if row["model"] == "resnet50")
    of_study = {row["weights"]: row["val"] for row in study_table("resnet50_weights.csv")}
    assert {name: of_study[name] for name in SUFFIXES} == {name: resnet50[f"weights_{name}"] for name in SUFFIXES}


@pytest.mark.parametrize("name", SUFFIXES)
def test_what_the_head_of_a_recipe_says_is_in_the_table(name: str) -> None:
    text = (resources.files("seedstudy") / "recipes" / "packaged" / f"{name}.toml").read_text(encoding="utf-8")
    (row,) = (row for row in TABLE_3 if row["model"] == "resnet50")
    gpus = row[f"gpus{SUFFIXES[name]}"]
    assert f"RSB Table 3: ResNet-50 {row[f'hours_{name}']} h on {gpus} V100 GPUs." in text
    said = re.search(r"Top-1 on ImageNet-val: ([\d.]+) ", text)
    assert said is not None
    assert abs(float(said[1]) - float(row[f"top1_{name}"])) < 0.1  # of A2 the mean of 100 seeds is said
    assert name == "a2" or said[1] == row[f"top1_{name}"]


REFERENCE = SHARED / "reference" / "rsb_table3.csv"
SOURCE_COLUMNS = {
    "architecture": "architecture",
    "timm_name": "model",
    **{"train_res_a1a2": "train", "test_res_a1a2": "test", "train_res_a3": "train_a3", "test_res_a3": "test_a3"},
    **{"n_gpu_a1a2": "gpus", "n_gpu_a3": "gpus_a3", "peak_mem_gb_a1a2": "memory", "peak_mem_gb_a3": "memory_a3"},
    **{f"time_h_{name}": f"hours_{name}" for name in SUFFIXES},
    **{f"top1_{name}": f"top1_{name}" for name in SUFFIXES},
    **{f"timm_seed0_top1_{name}": f"weights_{name}" for name in SUFFIXES},
    **{"top1_org": "original", "top1_org_source": "original_by"},
}


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the reference table is not here")
def test_every_cell_of_rsb_table_3_is_that_of_an_independent_copy() -> None:
    """Of each of the 25 rows: names, sizes, GPUs, hours, memory, and every top-1."""
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        source = list(csv.DictReader(file))
    assert set(source[0]) - set(SOURCE_COLUMNS) == {"timm_name_kind"}
    assert set(TABLE_3[0]) == set(SOURCE_COLUMNS.values())
    for theirs, ours in zip(source, TABLE_3, strict=True):
        cells = {ours_name: theirs[their_name] for their_name, ours_name in SOURCE_COLUMNS.items()}
        assert {**cells, "original_by": cells["original_by"].replace("none", "")} == ours
        assert (theirs["timm_name_kind"] == "deit_def") == ours["model"].startswith("deit_")


@pytest.mark.parametrize(("model", "gpus"), [("tiny", 4), ("small", 4), ("base", 16)])
def test_deit_shares_its_batch_of_1024_between_its_gpus(model: str, gpus: int) -> None:
    recipe = read_recipe("deit").for_model(f"deit_{model}_patch16_224")
    assert recipe.micro_batch * gpus == recipe.batch_size == 1024


def test_published_resnet_rs_configurations_are_recipes() -> None:
    """Each (depth, size) is trained by exactly one recipe, with that configuration's regularisation."""
    rows = {(int(row["depth"]), int(row["px"])): row for row in table("resnet_rs_models.csv")}
    seen = []
    for name in (name for name in packaged_names() if name.startswith("resnet_rs")):
        file = read_recipe(name)
        for model in file.models:
            recipe = file.for_model(model, given={"micro_batch": 256})
            depth = int(model.removeprefix("resnetrs"))
            seen.append((depth, recipe.train_size))
            row = rows[depth, recipe.train_size]
            assert recipe.test_size == recipe.train_size
            assert recipe.dropout == float(row["dropout"])
            assert recipe.drop_path == float(row["drop_path"])
            magnitude = row["randaugment_magnitude"]
            # timm's scale ends at 10 unless it is given another end; TensorFlow applies what it draws (p1).
            assert recipe.randaugment == f"rand-m{magnitude}-n2" + ("-mmax15-p1" if magnitude == "15" else "-p1")
    assert sorted(seen) == sorted(rows)


def ladder() -> list[RecipeFile]:
    return [read_recipe(name) for name in LADDER]


def test_ladder_steps_differ_in_exactly_one_thing_each() -> None:
    steps = [file.for_model("resnet200", given={"micro_batch": 256}) for file in ladder()]
    for row, before, after in zip(table("resnet_rs_ladder.csv")[1:], steps, steps[1:], strict=False):
        (expected,) = parse_assignments([f"{row['key']}={row['value']}"]).items()
        ((key, _, value),) = changes(before, after)
        assert (key, value) == expected
        assert row["change"] in after.title


def test_ladder_files_are_one_line_each() -> None:
    for name in LADDER[1:]:
        text = (resources.files("seedstudy") / "recipes" / "packaged" / f"{name}.toml").read_text(encoding="utf-8")
        document = tomllib.loads(text)
        assert document["base"] == LADDER[LADDER.index(name) - 1]
        assert len(document["values"]) == 1


def test_ladder_ends_at_resnet_rs() -> None:
    end = read_recipe("rs10").for_model("resnet200", given={"micro_batch": 256})
    published = read_recipe("resnet_rs").for_model("resnetrs200", given={"micro_batch": 256})
    # One builds the network up from a plain ResNet-200, the other names it; tests/train prove the networks equal.
    assert {key for key, _, _ in changes(end, published)} == {"se_ratio", "resnet_d"}


def test_ladder_starts_from_the_old_schedule() -> None:
    start = ladder()[0].described("resnet200")
    assert start["schedule"] == "steps-30,60,80-x0.1"
    assert (start["epochs"], start["weight_decay"], start["train_size"]) == (90, 1e-4, 256)
    assert (start["label_smoothing"], start["drop_path"], start["dropout"]) == (0.0, 0.0, 0.0)
    assert (start["ema_decay"], start["randaugment"], start["se_ratio"], start["resnet_d"]) == (None, None, None, False)
