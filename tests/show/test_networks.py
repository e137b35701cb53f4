"""The tables of `cost` and `evaluate`."""

from __future__ import annotations

from collections.abc import Callable

from seedstudy.show.networks import cost_table, evaluation_table
from seedstudy.study.network import Cost, EvaluatedSet, Size, Speed

SIZE = Size(n_params=25_557_032, n_macs=4_089_184_256, n_activations=11_114_000)


def cells(text: str, row: int) -> list[str]:
    return text.splitlines()[1 + row].split()


def test_cost_shows_size_and_speed_where_it_was_timed(rendered: Callable[..., str]) -> None:
    counted = Cost(model="resnet50", image_size=224, size=SIZE, speed=None)
    assert cells(rendered(cost_table([counted], repeats=10)), 0) == ["resnet50", "224", "25.56", "4.09", "11.11"]
    speed = Speed(
        device="x86",
        precision="float32",
        latency_s=0.0123,
        batch_size=32,
        infer_images_per_s=1234.5,
        train_images_per_s=400.0,
        peak_mem_bytes=None,
    )
    timed = Cost(model="resnet50", image_size=224, size=SIZE, speed=speed)
    text = rendered(cost_table([timed], repeats=10), 200)
    assert cells(text, 0)[5:] == ["12.30", "1,234.5", "400.0", "–"]
    assert "Median of 10 passes on x86, float32" in text


def test_evaluation_shows_what_was_published_where_it_is_known(rendered: Callable[..., str]) -> None:
    val = EvaluatedSet(eval_set="val", n_examples=50_000, top1=80.374, top5=95.0, published_top1=80.382)
    v2 = EvaluatedSet(eval_set="v2", n_examples=10_000, top1=68.5, top5=88.0, published_top1=None)
    text = rendered(evaluation_table([val, v2], [], preprocessing="224 px, crop 0.95, bicubic"))
    assert cells(text, 0) == ["val", "50,000", "80.374", "95.000", "80.382", "-0.008"]
    assert cells(text, 1) == ["v2", "10,000", "68.500", "88.000", "–", "–"]
