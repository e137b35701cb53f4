"""Files that were once read wrongly, some of public repositories: each is read rightly, or refused with its reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request
from tests.read.reading import only, refused

CASES = Path(__file__).parent / "cases"


@pytest.fixture(autouse=True)
def _in_case(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Put the files of the case that a test is named after into its folder."""
    shutil.copytree(CASES / request.node.originalname.removeprefix("test_"), tmp_path, dirs_exist_ok=True)


def _mean_and_sd(values: np.ndarray) -> tuple[float, float]:
    return round(float(values.mean()), 2), round(float(values.std(ddof=1)), 2)


def test_csv_comment_lines() -> None:
    groups = read_groups("multi_seed_results.csv", Request())
    assert {g.model: (g.n, *_mean_and_sd(g.values)) for g in groups} == {
        "resnet34": (3, 93.37, 0.27),
        "plain34": (3, 92.57, 0.36),
    }
    file = "multi_seed_results.csv"
    (answer,) = ss.compare(f"{file}:architecture=plain34", f"{file}:architecture=resnet34").answers
    difference = answer.comparison.difference
    assert (round(difference.value, 2), round(answer.comparison.p_value, 4)) == (0.80, 0.0410)


def test_deit_log_txt() -> None:
    group = only("deit/*/log.txt")
    assert (group.seeds, group.values.tolist()) == ((0, 1, 2), [82.10, 82.11, 82.12])


def test_eval_test_of_a_file() -> None:
    for eval_sets in (("test",), None):
        groups = read_groups("history.csv", Request(unit="fraction", eval_sets=eval_sets))
        assert [(g.model, g.eval_set, round(float(g.values[0]), 2)) for g in groups] == [
            ("ANN", "test", 91.65),
            ("SNN", "test", 95.00),
        ]
    assert any("train" in note for note in groups[0].notes)
    assert "`split` holds train, test" in refused("history.csv", unit="fraction", eval_sets=("v2",))


def test_float_or_text_seed_twice() -> None:
    assert "seed 42 is in several rows" in refused("float.csv")
    assert "seed 2 is in several rows" in refused("text.csv")


def test_header_missing() -> None:
    assert only("numbers.csv").values.tolist() == [76.12, 76.33, 76.20]
    assert "neither a recipe nor a column" in refused("numbers.csv:76.12")


def test_huge_losses_traceback() -> None:
    assert "too large to compute with" in refused("a.txt", metric="loss")
    assert "too large to compute with" in refused("b.txt", metric="loss")


def test_last_line_cut() -> None:
    group = only("summary.csv")
    assert group.values.tolist() == [81.39]
    assert "line 4 is cut short (4 of 6 cells)" in group.notes[0]


def test_lightning_row_after_fit() -> None:
    group = only("metrics.csv", unit="fraction")
    assert round(float(group.values[0]), 2) == 98.68
    assert "`epoch` 5 (0.9964) was measured after the training" in group.notes[0]


def test_long_table_variant_epoch() -> None:
    assert 'column "variant" holds A, B' in refused("long.csv")
    (answer,) = ss.compare("long.csv:variant=A", "long.csv:variant=B").answers
    assert (answer.a.n, answer.b.n, answer.a.label, answer.b.label) == (3, 3, "A", "B")
    assert (_mean_and_sd(answer.a.values), _mean_and_sd(answer.b.values)) == ((70.30, 0.20), (80.30, 0.20))


def test_mixed_percent_and_fraction() -> None:
    assert "0.798 among percents" in refused("runs.csv")


def test_mlflow_numeric_config_pooled() -> None:
    message = refused("runs.csv", metric="metrics.test_acc-PUC", unit="fraction")
    assert "params.n_images_to_train" in message
    assert "--pool" in message


def test_mlflow_params_seed_twice() -> None:
    assert "seed 1 is in several rows" in refused("runs.csv", metric="metrics.test_acc-PUC", unit="fraction")


def test_model_names_with_slash() -> None:
    resnet = only("runs.csv:model_name=microsoft/resnet-50", unit="fraction")
    vit = only("runs.csv:model_name=google/vit-base-patch16-224", unit="fraction")
    assert (_mean_and_sd(resnet.values)[0], _mean_and_sd(vit.values)[0], resnet.n, vit.n) == (80.20, 81.35, 2, 2)
    assert only("mixup.csv:mixup=none").values.tolist() == [79.0, 79.2]
    for selector in ("mixup.csv:mixup=0.2,0.8", "mixup.csv:mixup='0.2,0.8'", 'mixup.csv:"mixup"="0.2,0.8"'):
        assert only(selector).values.tolist() == [80.1, 80.3]


def test_optuna_state_complete() -> None:
    message = refused("trials.csv", metric="value", unit="fraction")
    assert "params_dropout_rate" in message
    group = only("trials.csv", metric="value", unit="fraction", pool=True)
    assert (group.n, group.n_left_out) == (5, 0)
    assert "pooled as you say" in group.notes[0]


def test_pick_by_the_files_own_column_name() -> None:
    found = [only(f"all_results.csv:architecture={name}", unit="fraction") for name in ("simple_cnn", "resnet18")]
    assert [(g.n, *_mean_and_sd(g.values)) for g in found] == [(3, 83.73, 0.17), (3, 92.49, 0.23)]


def test_pick_value_as_written() -> None:
    assert only("runs.csv:lr=1e-3").values.tolist() == [91.0, 91.1]
    assert only("runs.csv:lr=0.10").values.tolist() == [93.1, 93.3]


def test_plain_numbers_named_metric() -> None:
    (answer,) = ss.compare("a.txt", "b.txt", metric="loss").answers
    assert (answer.verdict.word, answer.a.metric) == ("better", "loss")
    assert (round(float(answer.a.values.mean()), 2), round(float(answer.b.values.mean()), 2)) == (0.55, 0.41)


def test_ray_progress_training_iteration() -> None:
    values = [only(f"{name}/progress.csv", unit="fraction").values.tolist() for name in "ab"]
    assert values == [[80.0], [83.0]]
    with pytest.raises(SeedstudyError, match="one seed each"):
        ss.compare("a/progress.csv", "b/progress.csv", unit="fraction")


def test_table_of_means_pooled() -> None:
    assert "std_accuracy" in refused("multi_seed_results.csv", metric="mean_accuracy", unit="fraction")
    assert 'column "Method" holds ResNet-50, DeiT-S' in refused("methods.csv")


def test_timestamp_blocks_the_pick() -> None:
    group = only("runs.csv:teacher=primary,manipulation=adaptive_t")
    assert (sorted(group.seeds or ()), round(float(group.values.mean()), 3)) == ([1, 42, 43], 89.146)
    assert float(group.values.std(ddof=1)) == pytest.approx(0.1725, abs=1e-4)


@pytest.mark.parametrize("metric", ["metrics/accuracy_top1", "top1"])
def test_ultralytics_padded_header(metric: str) -> None:
    assert only("results.csv", metric=metric, unit="fraction").values.tolist() == [96.5]


def test_ultralytics_second_run_in_same_file() -> None:
    message = refused("results.csv", metric="metrics/accuracy_top1", unit="fraction")
    assert 'column "epoch" starts again (at 1 after 5)' in message


def test_wandb_grouped_chart() -> None:
    for selector in ("chart.csv", "chart.csv:name=Name: base"):
        assert "chart of grouped runs hides the seeds" in refused(selector)


def test_wandb_runs_table_step_column() -> None:
    metric = "per_frame_metric_accuracy"
    message = refused("runs.csv", metric=metric, unit="fraction")
    for name in ("block_ratio_th", "block_size_orig", "diff_frame_th"):
        assert name in message
    pick = "runs.csv:skip_proc.params.motion.params.diff_frame_th=5"
    group = only(pick, metric=metric, unit="fraction")
    assert (group.n, round(float(group.values.mean()), 3)) == (3, 99.584)
    assert any("block_ratio_th" in note for note in group.notes)
