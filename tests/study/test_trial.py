from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from seedstudy.study.seeds import PURPOSES
from seedstudy.study.trial import Trial


def test_trial_survives_its_file(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(3)
    back = Trial.from_dict(json.loads(json.dumps(trial.to_dict())), where="x")
    assert back.trial_id == trial.trial_id
    assert back.recipe.recipe_id == trial.recipe.recipe_id


def test_trial_id_follows_everything_that_decides_the_result(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(3)
    others = [
        replace(trial, seed=4),
        replace(trial, model="resnet8"),
        replace(trial, data_fingerprint="x"),
        replace(trial, vary=("init",)),
        replace(trial, augment="pil"),
        replace(trial, replicate=1),
        replace(trial, stream_seeds=(("order", 4),)),
        replace(trial, recipe=replace(trial.recipe, lr=0.5)),
    ]
    assert len({t.trial_id for t in (trial, *others)}) == 9


def test_trial_id_is_a_safe_folder_name(make_trial: Callable[..., Trial]) -> None:
    trial = replace(make_trial(0), model="hf-hub:some/../one/resnet")
    assert "/" not in trial.trial_id
    assert ":" not in trial.trial_id


def test_a_trial_of_a_design_survives_its_file(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial().at({"order": 4, "init": 2, "augment": 4}, replicate=1)
    spec = json.loads(json.dumps(trial.to_dict(), sort_keys=True))
    assert (spec["format"], spec["seed"], spec["stream_seeds"]) == (3, 2, {"order": 4, "augment": 4})
    back = Trial.from_dict(spec, where="x")
    assert back == trial
    assert {purpose: back.streams.seed_of(purpose) for purpose in PURPOSES} == {
        "init": 2,
        "order": 4,
        "augment": 4,
        "mix": 0,
        "drop": 0,
    }


def test_a_spec_without_a_design_is_written_as_before(make_trial: Callable[..., Trial]) -> None:
    """Stored ids are digests of specs: a key more would train everything again."""
    spec = make_trial(3).to_dict()
    assert spec["format"] == 2
    assert not {"stream_seeds", "replicate"} & set(spec)


def test_a_design_finds_the_plain_trial_of_a_seed(make_trial: Callable[..., Trial]) -> None:
    plain = make_trial(3)
    assert make_trial(0).at(dict.fromkeys(PURPOSES, 3)).trial_id == plain.trial_id
    assert plain.at({"init": 3}).trial_id == make_trial(3, vary=("init",)).trial_id


@pytest.mark.parametrize(
    "change", [{"stream_seeds": {"mix": 1}}, {"stream_seeds": {"init": -1}}, {"stream_seeds": {"init": "1"}},
               {"replicate": True}, {"replicate": -1}]
)  # fmt: skip
def test_a_design_that_no_trial_has_is_refused(change: dict[str, object], make_trial: Callable[..., Trial]) -> None:
    spec = make_trial(3, vary=("init", "order")).to_dict() | change
    with pytest.raises(ValueError, match=r"stream_seeds|is not a seed"):
        Trial.from_dict(spec, where="x")
