from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seedstudy.errors import StudyError
from seedstudy.study.design import Source, in_words, parse_levels
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.study import Study, adjusted, load_study
from seedstudy.study.trial import Trial

INIT, ORDER = Source(streams=("init",), seeds=(0, 1)), Source(streams=("order",), seeds=(3, 5, 8))


def ids(study: Study, trial: Trial) -> list[str]:
    return [trial.at(cell, replicate=replicate).trial_id for cell, replicate in study.cells()]


def test_by_default_all_streams_follow_one_seed(make_trial: Callable[..., Trial]) -> None:
    study = adjusted(None, recipes="a2", seeds=3)
    assert [cell for cell, _ in study.cells()] == [dict.fromkeys(PURPOSES, seed) for seed in range(3)]
    assert ids(study, make_trial()) == [make_trial(seed).trial_id for seed in range(3)]


def test_crossed_sources_take_every_combination(make_trial: Callable[..., Trial]) -> None:
    study = adjusted(None, recipes="a2", design="crossed", levels="order=3,5,8,init=2")
    assert study.levels == (INIT, ORDER)
    found = [cell for cell, _ in study.cells()]
    assert found == [{"init": i, "order": j} for i in (0, 1) for j in (3, 5, 8)]
    assert len(set(ids(study, make_trial()))) == 6


def test_streams_of_one_source_move_together() -> None:
    study = adjusted(None, recipes="a2", design="crossed", levels={"mix+augment": [4, 7], "init": 2})
    assert [cell for cell, _ in study.cells()] == [
        {"init": i, "augment": seed, "mix": seed} for i in (0, 1) for seed in (4, 7)
    ]


def test_one_source_at_a_time_is_what_vary_trains(make_trial: Callable[..., Trial]) -> None:
    """Trials of `--vary init` that are there already are not trained again."""
    study = adjusted(None, recipes="a2", design="one-at-a-time", seeds=2, vary="init,order")
    assert ids(study, make_trial()) == [
        make_trial(seed, vary=(stream,)).trial_id for stream in ("init", "order") for seed in (0, 1)
    ]
    study = adjusted(None, recipes="a2", design="one-at-a-time", levels="augment+mix=2,init=1")
    assert [cell for cell, _ in study.cells()] == [{"init": 0}, {"augment": 0, "mix": 0}, {"augment": 1, "mix": 1}]


def test_repetitions_share_every_stream(make_trial: Callable[..., Trial]) -> None:
    study = adjusted(None, recipes="a2", seeds=2, replicates=2)
    assert [replicate for _, replicate in study.cells()] == [0, 0, 1, 1]
    trials = [make_trial().at(cell, replicate=replicate) for cell, replicate in study.cells()]
    assert len({trial.trial_id for trial in trials}) == 4
    assert trials[0].streams == trials[2].streams


def test_a_study_file_declares_a_design(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        'format = 1\n[grid]\nrecipes = ["a2"]\n[design]\nkind = "crossed"\nreplicates = 2\n'
        'levels = { init = 2, order = "3,5,8" }\n'
    )
    study = load_study(path)
    assert (study.design, study.replicates, study.levels) == ("crossed", 2, (INIT, ORDER))
    assert len(list(study.cells())) == 12


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ("init=5,initt=5", 'unknown stream "initt". Did you mean "init"?'),
        ("init=5,order+init=5", "init is in two sources"),
        ("init=5,init=3", "init is given twice"),
        ("5,init=3", 'levels "5": write SOURCE=SEEDS'),
        ("init", 'levels "init": write SOURCE=SEEDS'),
        ("init=0", "at least one seed"),
        ("init=x", '"x" is not a seed'),
        ("=5", "names no stream"),
        ({"init": True}, "init = True: write 5"),
        ({"init": 1.5}, "init = 1.5: write 5"),
        ({"init": {"a": 1}}, "write 5"),
    ],
)
def test_wrong_levels_are_one_line(levels: str | dict[str, object], expected: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_levels(levels)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"levels": "init=2"}, "levels belong to a design"),
        ({"design": "crossed"}, "needs two sources"),
        ({"design": "crossed", "levels": "init=9"}, "needs two sources"),
        ({"design": "crossed", "levels": "init=2000,order=2000"}, "4,000,000 combinations are too many"),
    ],
)
def test_a_design_that_says_nothing_is_refused(given: dict[str, str], expected: str) -> None:
    study = adjusted(None, recipes="a2", **given)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match=expected):
        list(study.cells())


@pytest.mark.parametrize("given", [{"levels": "init=2"}, {"design": "one-at-a-time"}, {"replicates": 2}])
def test_a_command_has_no_streams(given: dict[str, object]) -> None:
    with pytest.raises(StudyError, match="a command has one seed and no streams"):
        adjusted(None, command="python train.py {arm} {seed}", arms="a,b", **given)  # type: ignore[arg-type]


def test_unknown_designs_are_refused() -> None:
    with pytest.raises(StudyError, match="design"):
        adjusted(None, recipes="a2", design="factorial")
    with pytest.raises(StudyError, match="replicates = 0: must be at least 1"):
        adjusted(None, recipes="a2", replicates=0)


def test_a_design_in_words() -> None:
    words = in_words("crossed", (INIT, ORDER), PURPOSES, 1)
    assert words == "crossed: init (2) x order (3); augment, mix, drop stay at seed 0"
    assert in_words("one-at-a-time", (), ("init", "mix"), 2) == "one-at-a-time: init, mix, each 2 times"
    assert in_words("together", (), PURPOSES, 1) == ""
