from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

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
        replace(trial, recipe=replace(trial.recipe, lr=0.5)),
    ]
    assert len({t.trial_id for t in (trial, *others)}) == 7


def test_trial_id_is_a_safe_folder_name(make_trial: Callable[..., Trial]) -> None:
    trial = replace(make_trial(0), model="hf-hub:some/../one/resnet")
    assert "/" not in trial.trial_id
    assert ":" not in trial.trial_id
