"""Fine-tuning: starting weights, new heads, frozen stages and layers' learning rates, against timm's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.optim import create_optimizer_v2, param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from seedstudy.data.base import Dataset
from seedstudy.engines.starts import with_starts
from seedstudy.errors import RecipeError, SeedstudyError, StudyError
from seedstudy.recipes.reader import load_recipe, read_recipe, with_values
from seedstudy.recipes.recipe import OPTIONAL, Recipe
from seedstudy.recipes.scaling import DataFacts, scale
from seedstudy.store.rows import pool_key
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from seedstudy.train import layers, starts, weights
from seedstudy.train.models import build_model
from seedstudy.train.parts import build_optimizer, build_schedule, lr_of, weight_decay_groups
from seedstudy.train.trial import train_trial

MakeTrial = Callable[..., Trial]
Cli = Callable[..., tuple[int, str, str]]
STARTED = "2026-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tuned(recipe: Recipe, *changes: str) -> Recipe:
    return with_values(recipe, ["init=trial:main:a2", *changes])


# --- layers, against timm ---------------------------------------------------------------------------------------

ALL = ("test_vit", "test_resnet", "test_convnext", "test_efficientnet", "resnet8_nano")


def by_parameter(model: nn.Module, groups: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return parameter -> its weight decay and its share of the learning rate."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: (group["weight_decay"], group["lr_scale"]) for group in groups for p in group["params"]}


@pytest.mark.parametrize("name", ALL)
def test_layer_decay_groups_are_timms(name: str) -> None:
    recipe = with_values(load_recipe("deit"), ["layer_decay=0.65"])
    model = timm.create_model(name, num_classes=5)
    exempt = getattr(model, "no_weight_decay", set)()
    timms = param_groups_layer_decay(model, recipe.weight_decay, exempt, layer_decay=0.65)
    ours = weight_decay_groups(model, recipe)
    assert by_parameter(model, ours) == by_parameter(model, timms)
    assert len({share for _, share in by_parameter(model, ours).values()}) > 2
    ratio = weight_decay_groups(model, with_values(recipe, ["head_lr_ratio=10"]))
    head = layers.head_names(model)
    for parameter, (decay, share) in by_parameter(model, ours).items():
        assert by_parameter(model, ratio)[parameter] == (decay, share * (10 if parameter in head else 1))


def test_without_fine_tuning_groups_and_ids_are_what_they_were() -> None:
    recipe = load_recipe("a2")
    model = timm.create_model("test_resnet")
    assert all("lr_scale" not in group for group in weight_decay_groups(model, recipe))
    assert recipe.spelled_out().keys().isdisjoint(OPTIONAL)
    assert recipe.recipe_id == "a2-3bf2491b"


@pytest.mark.parametrize("frozen", [0, 2])
def test_fine_tuning_steps_are_those_of_timms_script(frozen: int, data: Dataset) -> None:
    """The same weights after three steps: timm's model, freezing, groups, optimiser and schedule against ours."""
    changes = [
        "layer_decay=0.7",
        "batch_size=8",
        "micro_batch=8",
        "epochs=2",
        "schedule_per=update",
        "lr_lag=0",
        "lr=0.01",
        "warmup_epochs=1",
        "drop_path=0",
    ]
    recipe = tuned(load_recipe("deit"), *changes, f"frozen_stages={frozen}", "train_size=32", "test_size=32")
    source = timm.create_model("test_resnet", num_classes=7)
    ours = build_model("test_resnet", recipe, 4, seed=3, like=source.state_dict())
    state = starts._source(source.state_dict(), "there", None)
    starts._load(ours, weights.from_bytes(state.content, where="there")[0], recipe, "there")
    theirs = timm.create_model("test_resnet", num_classes=4)
    body = {name: value for name, value in source.state_dict().items() if not name.startswith("fc.")}
    assert sorted(theirs.load_state_dict(body, strict=False).missing_keys) == ["fc.bias", "fc.weight"]
    theirs.fc.load_state_dict(ours.fc.state_dict())
    layers.freeze(ours, recipe, "test_resnet")
    if frozen:
        timm.utils.freeze(theirs, ["conv1", "bn1", "layer1"], include_bn_running_stats=True)
    optimizers = [
        build_optimizer(ours, recipe),
        create_optimizer_v2(
            theirs, opt="adamw", lr=recipe.lr, weight_decay=recipe.weight_decay, layer_decay=0.7, betas=(0.9, 0.999)
        ),
    ]
    schedules = [
        build_schedule(optimizers[0], recipe, n_updates=4),
        CosineLRScheduler(
            optimizers[1],
            t_initial=8,
            lr_min=recipe.min_lr,
            warmup_t=round(4 * recipe.warmup_epochs),
            warmup_lr_init=recipe.warmup_lr,
            t_in_epochs=False,
        ),
    ]
    generator = torch.Generator().manual_seed(0)
    for step in range(3):
        images = torch.randn(8, 3, 32, 32, generator=generator)
        labels = torch.randint(4, (8,), generator=generator)
        for model, optimizer, schedule in zip((ours, theirs), optimizers, schedules, strict=True):
            model.train()
            if model is ours:
                layers.hold_frozen(ours, recipe)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step_update(step + 1)
    for name, value in theirs.state_dict().items():
        if "num_batches_tracked" not in name:
            assert torch.allclose(ours.state_dict()[name], value, atol=1e-6), name
    moved = [name for name, value in ours.state_dict().items() if not torch.equal(value, state_of(source, name, value))]
    assert any(name.startswith("layer2") for name in moved)
    assert any(name.startswith(("conv1", "bn1", "layer1")) for name in moved) == (frozen == 0)


def state_of(source: nn.Module, name: str, default: Tensor) -> Tensor:
    value: Tensor = source.state_dict().get(name, default)
    return value if value.shape == default.shape else default


def test_the_rate_that_is_reported_is_the_recipes() -> None:
    recipe = with_values(load_recipe("deit"), ["layer_decay=0.5", "warmup_epochs=0"])
    optimizer = build_optimizer(timm.create_model("test_vit"), recipe)
    build_schedule(optimizer, recipe, n_updates=4)
    assert lr_of(optimizer) == pytest.approx(recipe.lr)
    assert optimizer.param_groups[0]["lr"] < recipe.lr


@pytest.mark.parametrize(("name", "n_stages"), [("test_resnet", 5), ("test_vit", 7), ("resnet8_nano", 4)])
def test_a_stage_that_does_not_exist_is_one_line(name: str, n_stages: int, tiny_recipe: Recipe) -> None:
    model = timm.create_model(name, num_classes=4)
    layers.freeze(model, tuned(tiny_recipe, f"frozen_stages={n_stages}"), name)
    with pytest.raises(
        StudyError, match=rf'model "{name}" has {n_stages} stages before its head .*: choose 0 to {n_stages}'
    ):
        layers.freeze(model, tuned(tiny_recipe, f"frozen_stages={n_stages + 1}"), name)


def test_stages_of_our_resnets_are_those_of_the_paper() -> None:
    model = timm.create_model("resnet20", num_classes=4)
    layers.freeze(model, tuned(load_recipe("a2"), "frozen_stages=3"), "resnet20")
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[1] for name in trained if name.startswith("blocks")} == {"6", "7", "8"}
    assert {name for name in trained if not name.startswith("blocks")} == {"fc.weight", "fc.bias"}


# --- trainings --------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path, make_trial: MakeTrial, data: Dataset) -> tuple[Store, Mapping[int, bytes]]:
    """Return a study with three trained seeds and their kept weights."""
    store = Store(tmp_path / "results", "main")
    trials = [make_trial(seed, name="a2") for seed in range(3)]
    store.plan(Study(recipes=("a2",)), trials)
    kept = {}
    for trial in trials:
        result = train_trial(trial, data, keeps_weights=True)
        store.publish(trial, result, data.eval_sets, STARTED)
        assert result.weights is not None
        kept[trial.seed] = result.weights
    return store, kept


def started(trials: list[Trial], source: tuple[Store, Mapping[int, bytes]], data: Dataset) -> tuple[list[Trial], Any]:
    return with_starts(trials, results=source[0].root.parent, folder=Path(), classes=data.classes)


def test_each_seed_starts_from_its_own_and_they_pool(
    source: tuple[Store, Mapping[int, bytes]], make_trial: MakeTrial, tiny_recipe: Recipe, data: Dataset
) -> None:
    recipe = tuned(tiny_recipe)
    trials, contents = started([make_trial(seed, recipe=recipe) for seed in (0, 1)], source, data)
    digests = [trial.start and trial.start.digest for trial in trials]
    assert len(set(digests)) == 2
    for trial in trials:
        assert trial.start is not None
        ours = weights.from_bytes(contents[trial.start.digest](), where="")[0]
        kept = weights.from_bytes(source[1][trial.seed], where="")[0]
        assert all(torch.equal(ours[name], value) for name, value in kept.items())
        assert Trial.from_dict(json.loads(json.dumps(trial.to_dict())), where="spec") == trial
    provenance = train_trial(trials[0], data, start=contents[digests[0]]()).provenance
    assert len({pool_key(trial, provenance) for trial in trials}) == 1
    fixed, _ = started(
        [make_trial(seed, recipe=tuned(tiny_recipe, "init=trial:main:a2#2")) for seed in (0, 1)], source, data
    )
    assert len({trial.start for trial in fixed}) == 1
    assert pool_key(fixed[0], provenance) != pool_key(trials[0], provenance)
    held, _ = started([make_trial(seed, recipe=recipe, vary=("order",)) for seed in (1, 2)], source, data)
    assert {trial.start and trial.start.digest for trial in held} == {digests[0]}  # that of seed 0, like the stream


def test_a_probe_moves_nothing_but_the_head(
    source: tuple[Store, Mapping[int, bytes]], make_trial: MakeTrial, tiny_recipe: Recipe, data: Dataset
) -> None:
    (trial,), contents = started(
        [make_trial(1, recipe=tuned(tiny_recipe, "head_only=true", "micro_batch=8"))], source, data
    )
    assert trial.start is not None
    result = train_trial(trial, data, start=contents[trial.start.digest](), keeps_weights=True)
    before, after = (weights.from_bytes(each or b"", where="")[0] for each in (source[1][1], result.weights))
    assert {name for name, value in after.items() if not torch.equal(value, before[name])} == {"fc.weight", "fc.bias"}


def test_the_head_follows_the_stream_init_and_may_be_kept(
    source: tuple[Store, Mapping[int, bytes]], make_trial: MakeTrial, tiny_recipe: Recipe, data: Dataset
) -> None:
    recipe = tuned(tiny_recipe, "init=trial:main:a2#0")
    trials, contents = started([make_trial(seed, recipe=recipe) for seed in (0, 1)], source, data)
    heads = [starts.network_of(trial, data, contents[trial.start.digest]())[0].fc.weight for trial in trials]  # type: ignore[union-attr]
    assert not torch.equal(*heads)
    (kept,), _ = started([make_trial(1, recipe=with_values(recipe, ["init_head=kept"]))], source, data)
    network = starts.network_of(kept, data, contents[kept.start.digest]())[0]  # type: ignore[union-attr]
    assert torch.equal(network.fc.weight, weights.from_bytes(source[1][0], where="")[0]["fc.weight"])


def test_images_are_normalised_as_the_weights_were_trained(
    source: tuple[Store, Mapping[int, bytes]], make_trial: MakeTrial, tiny_recipe: Recipe, data: Dataset
) -> None:
    (trial,), contents = started([make_trial(0, recipe=tuned(tiny_recipe))], source, data)
    other = replace(data, mean=(0.1, 0.2, 0.3))
    assert starts.network_of(trial, other, contents[trial.start.digest]())[1].mean == data.mean  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "model", "message"),
    [
        (("init=trial:main:a9",), "resnet8_nano", "study main has no finished trial of it. Known: a2."),
        (("init=trial:other:a2",), "resnet8_nano", 'no study "other"'),
        ((), "resnet8", "these are trials of resnet8_nano, not of resnet8."),
        (("init=trial:main:a2#7",), "resnet8_nano", "no kept weights of seed 7"),
        (("init=timm:test_vit",), "test_resnet", "these are weights of test_vit, not of test_resnet."),
        (("init=nowhere.pth",), "resnet8_nano", "nowhere.pth: no such file."),
        (("init=text.pth",), "resnet8_nano", "text.pth: cannot be loaded"),
        (("init=other.safetensors",), "resnet8_nano", "other.safetensors: not the weights of this network"),
        (("init=seven.safetensors", "init_head=kept"), "resnet8_nano", "its head has 7 classes, the data 4"),
    ],
)
def test_wrong_starts_are_one_line(
    changes: tuple[str, ...],
    model: str,
    message: str,
    source: tuple[Store, Mapping[int, bytes]],
    make_trial: MakeTrial,
    tiny_recipe: Recipe,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.pth").write_text("not weights")
    save_file(timm.create_model("resnet20").state_dict(), "other.safetensors")
    save_file(timm.create_model("resnet8_nano", num_classes=7).state_dict(), "seven.safetensors")
    trial = replace(make_trial(0, recipe=tuned(tiny_recipe, *changes)), model=model)
    with pytest.raises(SeedstudyError) as caught:
        started([trial], source, data)
    assert message in str(caught.value)


class _Bad:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def test_files_that_hold_no_weights_are_one_line_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": _Bad()}, "code.pth")
    torch.save(torch.nn.Linear(2, 2), "module.pth")
    torch.save([1, 2], "list.pth")
    torch.save({"w": torch.zeros(100)}, "whole.pth")
    Path("cut.pth").write_bytes(Path("whole.pth").read_bytes()[:300])
    Path("text.pth").write_text("not weights")
    Path("empty.pth").write_text("")
    for name, why in (
        ("code", "it holds objects beside tensors"),
        ("module", "it holds objects beside tensors"),
        ("list", "no weights by name"),
        ("text", "no weights by name"),
        ("empty", "no weights by name"),
        ("cut", "damaged, or cut short"),
    ):
        with pytest.raises(StudyError, match=rf"^init: {name}\.pth: cannot be loaded \({why}"):
            starts.of_name(f"{name}.pth", "resnet18")
    assert not Path("ran").exists()


def test_a_kept_head_needs_the_same_classes(
    source: tuple[Store, Mapping[int, bytes]], make_trial: MakeTrial, tiny_recipe: Recipe, data: Dataset
) -> None:
    trial = make_trial(0, recipe=tuned(tiny_recipe, "init_head=kept"))
    with pytest.raises(StudyError, match="its head has other classes"):
        started([trial], source, replace(data, classes=tuple("abcx")))


def test_contradictions_are_one_line() -> None:
    for changes, message in (
        (["frozen_stages=2"], "frozen_stages would freeze layers at random weights"),
        (["init=x.pth", "head_only=true", "layer_decay=0.5"], "head_only freezes every stage"),
        (["init=timm:"], "is not of the form"),
        (["init=trial:main"], "is not of the form"),
        (["layer_decay=0"], "is impossible"),
    ):
        with pytest.raises(RecipeError, match=message):
            with_values(load_recipe("a2"), changes)


# --- timm's files -----------------------------------------------------------------------------------------------


def test_timms_weights_come_from_its_cache(
    tmp_path: Path, make_trial: MakeTrial, tiny_recipe: Recipe, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache of the hub as a download leaves it: blobs, refs and snapshots; and the same file by its path."""
    from huggingface_hub import constants

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = timm.create_model("test_resnet").state_dict()
    snapshot = tmp_path / "hub" / "models--timm--test_resnet.r160_in1k" / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    save_file(state, snapshot / "model.safetensors")
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("0123abcd")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("timm.models._hub.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    recipe = with_values(tiny_recipe, ["init=timm:test_resnet.r160_in1k", "train_size=32", "test_size=32"])
    trial = replace(make_trial(0, recipe=recipe), model="test_resnet")
    (by_name,), contents = with_starts([trial], results=tmp_path, folder=Path(), classes=data.classes)
    assert by_name.start is not None
    own = timm.get_pretrained_cfg("test_resnet")
    assert (by_name.start.mean, by_name.start.std) == (own.mean, own.std) != (data.mean, data.std)
    file = replace(trial, recipe=with_values(recipe, [f"init={snapshot / 'model.safetensors'}"]))
    (by_path,), _ = with_starts([file], results=tmp_path, folder=Path(), classes=data.classes)
    assert by_path.start == by_name.start  # by content, whatever file it came in
    assert by_path.recipe.init == "model.safetensors"
    torch.save({"state_dict": state}, tmp_path / "last.pth.tar")
    checkpoint = replace(trial, recipe=with_values(recipe, [f"init={tmp_path / 'last.pth.tar'}"]))
    (of_timms_script,), _ = with_starts([checkpoint], results=tmp_path, folder=Path(), classes=data.classes)
    assert of_timms_script.start == by_name.start
    network, _ = starts.network_of(by_name, data, contents[by_name.start.digest]())
    stem = "conv1.0.weight"
    assert torch.equal(network.state_dict()[stem], state[stem])  # timm's own stem stays, whatever the size
    assert network.fc.weight.shape[0] == 4


# --- scaling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_train", "updates"), [(1_281_167, 20_000), (50_000, 10_000), (1_201, 500), (60, 500)])
def test_updates_of_finetune_are_those_of_bit_hyperrule(n_train: int, updates: int) -> None:
    recipe = read_recipe("finetune").for_model(None, given={"init": "x.pth"})
    for image_size in (None, 32):
        facts = DataFacts(name="any", n_train=n_train, image_size=image_size, epoch_ratio=0.1)
        scaled = scale(recipe, facts)
        per_epoch = n_train // scaled.batch_size
        assert abs(scaled.epochs * per_epoch - updates) <= max(per_epoch, 16)
        assert scaled.batch_size == (512 if n_train >= 512 else 32)
        assert scaled.lr == pytest.approx(0.003 * scaled.batch_size / 512)
        first = float(scaled.schedule.split("-")[1].split(",")[0])
        assert first / scaled.epochs == pytest.approx(0.3, abs=1e-4)
        assert scaled.test_size == (image_size or 480)


# --- from the command line --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_study_fine_tunes_the_trials_of_another(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    small = ["--set", "batch_size=64", "--set", "micro_batch=64", "--epochs", "1", "--train-limit", "128"]
    run = ["run", "-m", "resnet8_nano", "--seeds", "2", "--workers", "1", *small]
    code, _, err = cli(*run, "-r", "a3", "-d", "digits", "--study", "pre", "--keep-weights")
    assert code == 0, err
    tune = [*run, "-r", "finetune,linear", "-d", "shapes", "--study", "tuned"]
    code, _, err = cli(*tune, "--set", "init=trial:pre:a3", "--set", "frozen_stages=9")
    assert (code, "has 4 stages before its head" in err or "head_only freezes every stage" in err) == (2, True)
    assert not Path("results/tuned").exists()
    code, _, err = cli(*tune, "--set", "init=trial:pre:a3")
    assert code == 0, err
    assert len(list(Path("results/tuned/starts").iterdir())) == 2
    rows = json.loads(cli("compare", "tuned:linear", "tuned:finetune", "--eval", "val", "--json")[1])["comparisons"]
    assert (rows[0]["n_a"], rows[0]["n_b"]) == (2, 2)
    code, _, err = cli(*tune, "--set", "init=trial:pre:a3")  # nothing is trained twice
    assert code == 0
    assert "trials are missing" not in err
    assert np.isfinite(rows[0]["difference"])


@pytest.mark.slow
def test_a_timm_file_and_an_earlier_trial_are_compared_on_a_folder_of_jpegs(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fine-tuning from a file of timm's layout against fine-tuning from own trials, five seeds each, to the verdict."""
    from PIL import Image

    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "0")
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("val", 8)):
        for level, name in enumerate(("dark", "middle", "light")):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for number in range(n):
                pixels = np.clip(50 + 70 * level + rng.normal(0, 30, (110, 130, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "model.safetensors")
    small = ["--set", "batch_size=8", "--set", "micro_batch=8", "--set", "train_size=32", "--set", "test_size=32"]
    run = ["run", "-m", "test_resnet", "--workers", "1", "--epochs", "1", *small]
    photos = ["-d", f"folder:{tmp_path / 'photos'}", "--seeds", "5"]
    assert cli(*run, "-r", "a3", *photos, "--study", "pre")[0] == 0
    assert len(list(Path("results/pre/trials").glob("*/weights.safetensors"))) == 5  # the default for one's own images
    for name, init in (("of_timm", "model.safetensors"), ("of_trials", "trial:pre:a3")):
        recipe = f'format = 1\nname = "{name}"\nbase = "finetune"\n[values]\ninit = "{init}"\n'
        (tmp_path / f"{name}.toml").write_text(recipe)
    code, _, err = cli(*run, "-r", "./of_timm.toml,./of_trials.toml", *photos, "--study", "tuned")
    assert code == 0, err
    code, out, err = cli("compare", "of_timm", "of_trials", "--study", "tuned", "--json")
    assert code == 0, err
    (answer,) = json.loads(out)["comparisons"]
    assert (answer["n_a"], answer["n_b"]) == (5, 5)
    assert answer["verdict"] in ("better", "worse", "equivalent", "inconclusive")
    assert len(list(Path("results/tuned/starts").iterdir())) == 6  # one file, and five trials
