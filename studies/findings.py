"""The statements of the two papers beside our numbers: ``python -m studies.findings`` writes docs/findings.md.

Every number of the page that is ours is computed here from the frames in ``studies/``; a test computes them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import seedstudy as ss
from seedstudy.stats.result import format_p
from studies.resnet_rs_scaling import small, speed
from studies.rsb_recipes import reading as rsb_recipes
from studies.short_and_long import reading as short_and_long

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "findings.md"
SUPPORTED, NOT, UNDECIDED = "supported here", "**not supported here**", "undecided here"
RSB, RS, OTHER = "RSB", "ResNet-RS", "other"

HEAD = """# What two papers say, with seeds

Two papers shaped how ResNets are trained: "ResNet strikes back" (RSB; Wightman, Touvron, Jégou 2021) and
"Revisiting ResNets" (ResNet-RS; Bello et al. 2021). Most of their numbers come from one training each. This page
takes their statements, and some of other work on seed noise, one by one, and says what the
[studies](../studies/README.md) of this repository found with seeds.

How to read a verdict:

- **Trained here.** Small trainings show whether an effect is general enough to appear there. They cannot refute a
  result on ImageNet. Unless a study says otherwise, its rule was written before the numbers, in its README.
- **Published numbers.** Published tables are single runs. A difference counts if it is larger than what another
  seed would have given, with the std over seeds that RSB reports (0.10 points on val).
- "Undecided here" comes with what it would take to decide.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the page."""

    paper: str
    claim: str
    result: str
    verdict: str
    folder: str = ""


# --- frames ---------------------------------------------------------------------------------------------


def accuracies(folder: str, **where: Any) -> dict[str, np.ndarray]:
    """Return top-1 in points by eval set, sorted by seed, of the trials of a folder with these values."""
    frame = _frame(folder)
    for name, value in where.items():
        frame = frame.filter(pl.col(name) == value)
    top1 = frame.sort("seed").with_columns(top1=100.0 * pl.col("n_correct") / pl.col("n_examples"))
    return {str(name): rows["top1"].to_numpy() for (name,), rows in top1.group_by("eval_set", maintain_order=True)}


@cache
def _frame(folder: str) -> pl.DataFrame:
    path = HERE / folder / "trials.csv"
    return pl.read_csv(path) if path.exists() else pl.DataFrame(schema={"recipe": pl.String, "seed": pl.Int64})


def n_seeds(folder: str, **where: Any) -> int:
    """Return how many seeds a folder has; 0 where it has not been trained."""
    if _frame(folder).is_empty():
        return 0
    return len(next(iter(accuracies(folder, **where).values()), ()))


@cache
def facts(folder: str) -> dict[str, tuple[float, float | None, float | None]]:
    """Return the facts of a folder's table: name -> value, low, high."""
    table = pl.read_csv(HERE / folder / "facts.csv")
    return {name: (value, low, high) for name, value, low, high in table.iter_rows()}


def clear() -> None:
    """Forget the frames that were read."""
    _frame.cache_clear()
    facts.cache_clear()


def with_ends(value: float, low: float, high: float, digits: int = 2) -> str:
    """Return "value [low, high]"."""
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def ratio_of_stds(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Return std(b) / std(a) over the same seeds and its 95 % percentile interval, bootstrapped over seeds."""
    rows = np.random.default_rng(0).integers(a.size, size=(4000, a.size))
    ratios = b[rows].std(axis=1, ddof=1) / a[rows].std(axis=1, ddof=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(b.std(ddof=1) / a.std(ddof=1)), float(low), float(high)


def normality(folder: str) -> tuple[str, str]:
    """Return the p-values of three tests of normality on val, and the verdict of the folder's rule."""
    document = ss.fit(HERE / folder / "trials.csv", eval_sets="val")[0].to_dict()
    p_values = {each["test"]: each["p_value"] for each in document["normality"]}
    smallest = min(p_values.values())
    verdict = SUPPORTED if smallest >= 0.05 else NOT if 3 * smallest < 0.05 else UNDECIDED
    return ", ".join(f"{test} p = {format_p(p)}" for test, p in p_values.items()), verdict


def extremes(values: np.ndarray) -> tuple[float, float, float]:
    """Return the largest value in std above the mean, and the middle 95 % of what so many normal seeds give."""
    draws = np.random.default_rng(0).standard_normal((4000, values.size))
    largest = ((draws.max(axis=1) - draws.mean(axis=1)) / draws.std(axis=1, ddof=1)).round(4)
    low, high = np.quantile(largest, [0.025, 0.975])
    return float((values.max() - values.mean()) / values.std(ddof=1)), float(low), float(high)


# --- seeds ----------------------------------------------------------------------------------------------


def spread(folder: str, name: str) -> Iterator[Finding]:
    """Yield RSB's statements about 100 seeds for one sweep of ours."""
    sets = accuracies(folder)
    n, val = n_seeds(folder), sets["val"]
    (row,) = ss.summary(HERE / folder / "trials.csv", eval_sets="val")
    document = row.to_dict()
    std = with_ends(document["std"], *document["std_ci"])
    yield Finding(
        RSB,
        "The same recipe with another seed gives another accuracy: std 0.10 on val over 100 seeds (79.50 to 79.98)",
        f"{name}, n = {n}: {val.mean():.2f} ± {std}, {val.min():.2f} to {val.max():.2f}",
        SUPPORTED,
        folder,
    )
    p_values, verdict = normality(folder)
    yield Finding(
        RSB, "Accuracies over seeds look Gaussian (Figure 2)", f"{name}, n = {n}: {p_values}", verdict, folder
    )
    largest, low, high = extremes(val)
    yield Finding(
        RSB,
        "The best of 100 seeds is 0.26 points (2.6 std) above the mean",
        f"{name}, n = {n}: {val.max() - val.mean():.2f} points, {largest:.2f} std; normal seeds give "
        f"{low:.2f} to {high:.2f}",
        SUPPORTED if low <= largest <= high else NOT,
        folder,
    )
    place = int((val > val[0]).sum()) + 1
    yield Finding(
        RSB,
        "Seed 0, which a paper would report, is one draw (79.85: 0.13 above the mean)",
        f"{name}: seed 0 has rank {place} of {n}, {val[0] - val.mean():+.2f} points from the mean",
        "one seed: no verdict",
        folder,
    )
    for eval_set, claim, below in (
        ("real", "The std on ReaL is smaller than on val (0.08 against 0.10)", True),
        ("v2", "The std on V2 is larger than on val (0.23 against 0.10)", False),
    ):
        if eval_set not in sets:
            continue
        ratio, low, high = ratio_of_stds(val, sets[eval_set])
        agrees, disagrees = (high < 1, low > 1) if below else (low > 1, high < 1)
        yield Finding(
            RSB,
            claim,
            f"{name}, n = {n}: std on {eval_set} / std on val = {with_ends(ratio, low, high)}",
            SUPPORTED if agrees else NOT if disagrees else UNDECIDED,
            folder,
        )


def seeds() -> Iterator[Finding]:
    """Yield what is said about seeds."""
    yield from spread("a2_100_seeds", "A2 on shapes")
    trained = n_seeds("rsb_seeds")
    if trained >= 100:
        yield from spread("rsb_seeds", "A2 on CIFAR-10")
    else:
        said = f"{trained} of 100 seeds are trained; the rule reads all of them" if trained else "not yet run"
        yield Finding(
            RSB,
            "All of these on real images (CIFAR-10)",
            said,
            f"{UNDECIDED}: needs the other {100 - trained} seeds",
            "rsb_seeds",
        )
    of = facts("mlperf_resnet50")
    groups = {
        row["global_batch_size"]: row for row in pl.read_csv(HERE / "mlperf_resnet50/groups.csv").iter_rows(named=True)
    }
    reference = groups[3264]
    n = reference["n"]
    p = min(1.0, 2 * min(of["shapiro_p"][0], of["lilliefors_p"][0]))
    yield Finding(
        RSB,
        "Accuracies over seeds look Gaussian, on ImageNet",
        f"MLPerf, ResNet-50, batch 3264, n = {n}: {reference['mean']:.3f} ± {reference['std']:.3f}, "
        f"{reference['min']:.2f} to "
        f"{reference['max']:.2f}; smaller of two p, doubled: {format_p(p)}; skewness {of['skewness'][0]:.2f}",
        NOT if p < 0.05 else SUPPORTED if p >= 0.1 else f"{UNDECIDED}: borderline, and runs stop at a target",
        "mlperf_resnet50",
    )
    share, low, high = of["pairs_that_differ_by_more_than_0.2"]
    yield Finding(
        OTHER,
        "Two single runs of one recipe may differ by more than 0.2 points",
        f"MLPerf, n = {n}: {100 * share:.1f} % of pairs [{100 * (low or 0):.1f}, {100 * (high or 0):.1f}]",
        SUPPORTED,
        "mlperf_resnet50",
    )
    systems, p = int(of["systems"][0]), of["systems_anova_p"][0]
    yield Finding(
        OTHER,
        "The system (hardware, submitter) changes the accuracy beyond the seed",
        f"MLPerf, {systems} systems, n = {n}: ANOVA p = {format_p(p)}, "
        f"{100 * of['systems_share_of_variance'][0]:.0f} % of the "
        "variance",
        SUPPORTED if p < 0.05 else UNDECIDED,
        "mlperf_resnet50",
    )
    sizes = (408, 1632, 2048, 3200)
    arms = [f"b{size}: {groups[size]['mean']}±{groups[size]['std']} n={groups[size]['n']}" for size in (3264, *sizes)]
    for size, answer in zip(sizes, ss.compare(*arms, margin=0.1), strict=True):
        d = answer.to_dict()
        yield Finding(
            OTHER,
            f"Batch size {size} trains to the accuracy of 3264, within 0.1 points",
            f"MLPerf, n = {groups[size]['n']} and {n}: {with_ends(d['difference'], *d['ci'], 3)}, {d['verdict']}",
            {"equivalent": SUPPORTED, "inconclusive": UNDECIDED}.get(d["verdict"], NOT),
            "mlperf_resnet50",
        )
    yield from lengths()
    yield from sources()


def lengths() -> Iterator[Finding]:
    """Yield Jordan's statements about short and long trainings."""
    folder = "short_and_long"
    claims = (
        "Longer training leaves less variance over seeds on the test set (Jordan 2023)",
        "Longer training leaves less variance on the distribution behind the test set (Jordan 2023)",
    )
    found = short_and_long.read(HERE / folder)
    if found is None:
        for claim in claims:
            yield Finding(OTHER, claim, "not yet run", f"{UNDECIDED}: needs 30 seeds of two lengths", folder)
        return
    where = f"A2 on CIFAR-10, n = {short_and_long.N_SEEDS} each"
    answers = zip(claims, short_and_long.sentences(found), (found.falls, found.falls_beyond), strict=True)
    for claim, sentence, verdict in answers:
        yield Finding(OTHER, claim, f"{where}: {sentence}", _word(verdict), folder)


# --- recipes --------------------------------------------------------------------------------------------


def recipes() -> Iterator[Finding]:
    """Yield what RSB says about recipes and architectures."""
    audit = ss.audit(HERE / "rsb_table3/table3.csv", sd=0.1)
    columns = audit.table.columns
    for a, b, claim in (
        ("top1_a2", "top1_a1", "A1 (600 epochs) is better than A2 (300)"),
        ("top1_a3", "top1_a2", "A2 (300 epochs) is better than A3 (100)"),
        ("top1_original", "top1_a1", "A1 is better than the original recipe of an architecture"),
    ):
        pairs = [pair for _, pair in audit.across if {columns[pair.a], columns[pair.b]} == {a, b}]
        gains = [pair.difference if columns[pair.b] == b else -pair.difference for pair in pairs]
        decided = [gain for pair, gain in zip(pairs, gains, strict=True) if audit.is_decided(pair)]
        up = sum(gain > 0 for gain in decided)
        yield Finding(
            RSB,
            f"{claim} (Table 3, {len(pairs)} architectures)",
            f"with std 0.10, {len(decided)} of {len(pairs)} differences exceed seed noise: {up} up, "
            f"{len(decided) - up} down",
            SUPPORTED
            if up == len(pairs)
            else f"{SUPPORTED} for {up}, not for {len(decided) - up}, open for the others",
            "rsb_table3",
        )
    orders = {c.column: {(p.a, p.b): p for p in c.pairs} for c in audit.columns}
    both = [
        (orders["top1_a1"][pair], orders["top1_a3"][pair])
        for pair in orders["top1_a1"].keys() & orders["top1_a3"].keys()
    ]
    opposite = [pairs for pairs in both if pairs[0].difference * pairs[1].difference < 0]
    sure = sum(all(audit.is_decided(pair) for pair in pairs) for pairs in opposite)
    yield Finding(
        RSB,
        "Which architecture is better depends on the recipe (Table 3)",
        f"A1 and A3 order {len(opposite)} of {len(both)} pairs of architectures differently; {sure} of "
        f"these orders exceed seed "
        "noise under both recipes",
        SUPPORTED if sure else UNDECIDED,
        "rsb_table3",
    )
    weights = ss.audit(HERE / "rsb_table3/resnet50_weights.csv", sd="rsb")
    for a, b, n, decided_both in weights.disagreements:
        yield Finding(
            RSB,
            f"Rankings on {a} and {b} may differ: over-fitting of val",
            f"14 ResNet-50 weights: {n} of 91 pairs are ordered differently, {decided_both} of these "
            f"decided on both sets",
            SUPPORTED if decided_both else UNDECIDED,
            "rsb_table3",
        )
    yield from grid_of_recipes()
    looks = pl.read_csv(HERE / "race_a2_a3/looks.csv").row(-1, named=True)
    yield Finding(
        RSB,
        "A2 is better than A3",
        f"CIFAR-10, 5,000 images, two epochs only, n = {looks['n_a']} each, a race: "
        f"{with_ends(looks['difference'], looks['ci_low'], looks['ci_high'])}",
        f"{NOT} after two epochs" if looks["ci_high"] < 0 else UNDECIDED,
        "race_a2_a3",
    )
    for claim, needs in (
        (
            "A1 80.4, A2 79.8, A3 78.1 for ResNet-50 (Table 1)",
            "ImageNet and about 110, 55 and 15 hours of 4 GPUs a seed",
        ),
        ("Binary cross-entropy is better than cross-entropy (ablation)", "A2 with either loss, 8 seeds on ImageNet"),
        (
            "Repeated augmentation and LAMB help at 300 epochs and more (ablation)",
            "A2 without each, 8 seeds on ImageNet",
        ),
        ("DeiT's recipe gives ResNet-50 a lower accuracy than A2 does", "recipe deit on resnet50, 8 seeds on ImageNet"),
    ):
        yield Finding(RSB, claim, "not tested", f"{UNDECIDED}: needs {needs}")


# --- sources --------------------------------------------------------------------------------------------


def sources() -> Iterator[Finding]:
    """Yield what is said about the random streams that a seed decides."""
    from studies.variance_sources.reading import CHANGES, SAME, read

    folder, found = "variance_sources", read()
    where = f"CIFAR-10, 5,000 images, five epochs, {found.design.n_trials} crossed trainings"
    ratio = found.ratio
    yield Finding(
        RSB,
        "100 seeds show the spread of a training (their seeds left the order of the images as it was: timm's samplers)",
        f"CIFAR-10, n = {found.everything.size} and {found.fixed.group.n}: std over all streams / all but the order "
        f"{ratio}",
        {SAME: SUPPORTED, CHANGES: NOT}.get(ratio.verdict, f"{UNDECIDED}: needs about twice the seeds"),
        folder,
    )
    parts = ", ".join(
        f"{' x '.join(part.sources)} {with_ends(part.std.value, part.std.low, part.std.high)}"
        for part in found.design.parts
        if part.is_there
    )
    yield Finding(
        OTHER,
        "Sources of randomness do not add up: each alone gives nearly the whole spread (Jordan 2023; Summers & Dinneen "
        "2021)",
        f"{where}: parts that are there, in points of std: {parts}; a source alone moves "
        f"{', '.join(f'{found.alone(name):.2f} ({name})' for name in found.design.levels)} of "
        f"{found.design.total.std.value if found.design.total else float('nan'):.2f}",
        "as published; no rule was declared for it",
        folder,
    )
    of = {how: rows for (how,), rows in found.repetitions.group_by("trained", maintain_order=True)}
    alone, stacked = (of[how]["predicted_otherwise"] for how in ("alone", "in a stack of 8"))
    n = found.repetitions["images"][0]
    yield Finding(
        OTHER,
        "The smallest change, such as one bit, makes another network (Summers & Dinneen 2021)",
        f"the same seed in every stream: {alone.max()} of {n:,} predictions differ between {len(alone)} trainings; "
        f"with additions in another order (a stack of 8) {stacked.min():,} to {stacked.max():,}",
        SUPPORTED if alone.max() == 0 < stacked.min() else NOT,
        folder,
    )


def grid_of_recipes() -> Iterator[Finding]:
    """Yield what RSB says about recipes and architectures, by our own trainings."""
    claim = "A recipe tuned for one architecture need not suit another, by our own trainings"
    folder = "rsb_recipes"
    found = rsb_recipes.read(HERE / folder / "trials.csv")
    if found is None:
        yield Finding(
            RSB, claim, "not yet run", f"{UNDECIDED}: needs 5 recipes, 3 architectures, 8 seeds a cell", folder
        )
        return
    parts, pairs, largest = rsb_recipes.sentences(found)
    where = f"CIFAR-10, 15 cells, n = {rsb_recipes.N_SEEDS} each"
    are_shown = all(source.p_value < 0.05 for source in found.grid.grid.sources[:2])
    yield Finding(
        RSB,
        "Accuracy depends on the architecture and on the recipe, beyond the seed",
        f"{where}, typical size of a difference: {parts}",
        SUPPORTED if are_shown else UNDECIDED,
        folder,
    )
    yield Finding(RSB, claim, f"{where}: {pairs}. {largest}", _word(found.verdict), folder)
    for a, b, claim in (
        ("a2", "a1", "A1 is at least as good as A2"),
        ("a3", "a2", "A2 is at least as good as A3"),
        ("torchvision", "torchvision2", "torchvision's second recipe is better than its first"),
    ):
        answers = [pair for pair in found.order if (pair.a, pair.b) == (a, b)]
        gains = ", ".join(f"{pair.difference:+.2f} (p = {format_p(pair.p_adjusted)})" for pair in answers)
        sure = [pair.difference > 0 for pair in answers if pair.p_adjusted < 0.05]
        verdict = NOT if not all(sure) else SUPPORTED if len(sure) == len(answers) else UNDECIDED
        yield Finding(RSB, f"{claim}, on each of three architectures", f"{where}: {gains}, Holm", verdict, folder)


# --- ladder ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """Recipes of which each is one step from the one before, trained at small scale, and the folder's rule."""

    folder: str
    prefix: str
    """Of the recipes' names: ``rs`` of rs00, rs01, …"""
    n_steps: int
    n_seeds: int
    margin: float
    """Percentage points on val."""
    down: tuple[int, ...] = ()
    """Steps that make it worse by the paper."""

    def arm(self, number: int) -> np.ndarray | None:
        """Return the accuracies of a step on val; None where its seeds are not complete."""
        recipe = f"{self.prefix}{number:02d}"
        if n_seeds(self.folder, recipe=recipe) < self.n_seeds:
            return None
        return accuracies(self.folder, recipe=recipe)["val"]


IMAGES = Ladder(folder="resnet_rs_ladder", prefix="rs", n_steps=10, n_seeds=8, margin=1.0, down=(2, 7))


def ladder() -> Iterator[Finding]:
    """Yield the steps of ResNet-RS: as published, and at small scale."""
    audit = ss.audit(HERE / "resnet_rs_ladder_published/ladder.csv", sd=0.1, is_ladder=True)
    column = audit.columns[0]
    here = small_steps(IMAGES)
    for number, pair in enumerate(column.pairs, start=1):
        published = "exceeds" if audit.is_decided(pair) else "within"
        result = f"published: {published} seed noise (p = {format_p(pair.p_adjusted)}, Holm)"
        verdict, ours = here.get(number, (f"{UNDECIDED}: needs 8 seeds a step", ""))
        yield Finding(
            RS,
            f"Step {number}, {column.rows[pair.b]}: {pair.difference:+.1f}",
            result + (f"; here, {ours}" if ours else "; here: not yet run"),
            verdict,
            "resnet_rs_ladder",
        )
    for step, claim in (
        (2, "Longer training without regularisation hurts (-0.5)"),
        (7, "Dropout before the smaller weight decay hurts (-0.3)"),
        (8, "The smaller weight decay repairs it (+1.5)"),
    ):
        verdict, ours = here.get(step, (f"{UNDECIDED}: needs 8 seeds a step", "not yet run"))
        yield Finding(RS, claim, ours, verdict, "resnet_rs_ladder")


def small_steps(ladder: Ladder) -> dict[int, tuple[str, str]]:
    """Return for each step that is trained its verdict by the folder's rule, and the numbers."""
    arms = {number: arm for number in range(ladder.n_steps + 1) if (arm := ladder.arm(number)) is not None}
    steps = [number for number in range(1, ladder.n_steps + 1) if number in arms and number - 1 in arms]
    answers = {
        step: ss.compare(list(arms[step - 1]), list(arms[step]), margin=ladder.margin)[0].to_dict() for step in steps
    }
    found = {}
    order = sorted(steps, key=lambda step: answers[step]["p_value"])
    largest = 0.0
    for place, step in enumerate(order):  # Holm over all steps, of which the others are not known: they count
        largest = max(largest, min(1.0, (ladder.n_steps - place) * answers[step]["p_value"]))
        d, expected = answers[step], -1 if step in ladder.down else 1
        is_equal = d["equivalence_p"] is not None and ladder.n_steps * d["equivalence_p"] < 0.05
        if is_equal:
            verdict = NOT
        elif largest < 0.05:
            verdict = SUPPORTED if d["difference"] * expected > 0 else NOT
        else:
            verdict = UNDECIDED
        n = len(arms[step])
        found[step] = (verdict, f"n = {n} each: {with_ends(d['difference'], *d['ci'])}, p = {format_p(largest)} (Holm)")
    return found


# --- scaling and cost -----------------------------------------------------------------------------------


def scaling() -> Iterator[Finding]:
    """Yield what ResNet-RS says about cost."""
    folder = "resnet_rs_scaling"
    for cost, name in (("gmacs", "FLOPs"), ("v100_latency_s", "V100 latency"), ("tpu_v3_latency_ms", "TPU-v3 latency")):
        answer = ss.scaling(HERE / folder / "models.csv", cost=cost, sd=0.1, margin=0.3)
        law = answer.laws[0].law
        yield Finding(
            RS,
            f"The error of the ResNet-RS family falls as one power law of {name}",
            f"{len(answer.cells)} single runs, std 0.10: exponent "
            f"{with_ends(law.exponent.value, law.exponent.low, law.exponent.high)}, floor "
            f"{with_ends(law.floor.value, law.floor.low, law.floor.high, 1)} %, misfit {law.misfit:.2f} "
            f"points, at most "
            f"{law.misfit_high:.2f}",
            _word(answer.claims[0].verdict),
            folder,
        )
    for cost, claim in (
        ("gmacs", "EfficientNet needs fewer FLOPs for the same accuracy"),
        ("params_m", "EfficientNet needs fewer parameters for the same accuracy"),
        ("cpu_ms", "ResNet-RS is faster at the same accuracy: on one CPU"),
        ("gpu_ms", "ResNet-RS is faster at the same accuracy: on one GPU (paper: 1.7x to 2.7x on TPUs)"),
        ("gpu_train_ms", "ResNet-RS trains faster at the same accuracy, on one GPU"),
    ):
        answer = ss.scaling(HERE / folder / "families.csv", by="family", cost=cost, sd=0.1, margin=0.3)
        (pair,) = answer.strategies
        sign = 1.0 if pair.b == "resnet_rs" else -1.0
        d = pair.comparison.difference
        ends = sorted((sign * d.low, sign * d.high))
        wanted = 1.0 if "EfficientNet needs" in claim else -1.0
        is_sure = pair.p_adjusted < 0.05 and abs(d.value) > 0
        verdict = UNDECIDED if not is_sure else SUPPORTED if wanted * sign * d.value > 0 else NOT
        yield Finding(
            RS,
            claim,
            f"15 single runs of timm's weights, std 0.10: error of ResNet-RS minus EfficientNet at equal cost "
            f"{with_ends(sign * d.value, *ends)} points; at the low end "
            f"{sign * pair.comparison.at_low.value:+.2f}, at the high end "
            f"{sign * pair.comparison.at_high.value:+.2f}",
            verdict,
            folder,
        )
    ranks = _latency_ranks()
    yield Finding(RS, "FLOPs do not predict latency across families", ranks[0], ranks[1], folder)
    yield from measured_here()
    yield from small_networks()
    yield Finding(
        RS,
        "EfficientNet-RS: slower resolution scaling speeds EfficientNet up",
        "not yet run",
        f"{UNDECIDED}: needs weights or trainings of EfficientNet-RS",
    )


def measured_here() -> Iterator[Finding]:
    """Yield what times and memory on one CPU say of ResNet-RS and EfficientNet."""
    folder = "resnet_rs_scaling"
    found = speed.read(HERE / folder)
    times, memory = ("not yet run", "not yet run") if found is None else speed.sentences(found)
    needs = f"{UNDECIDED}: needs times of both families"
    for claim, verdict in (
        ("ResNet-RS is faster than EfficientNet at the same accuracy, measured here", found and found.faster),
        ("It is 1.7 to 2.7 times as fast (TPU)", found and found.as_published),
    ):
        yield Finding(RS, claim, times, _word(verdict) if verdict else needs, folder)
    yield Finding(
        RS,
        "2.3x less memory than EfficientNet-B6 with 3.8x the parameters (TPU)",
        memory,
        (SUPPORTED if found.memory_ratio > 1 else NOT) if found else needs,
        folder,
    )


def small_networks() -> Iterator[Finding]:
    """Yield what small networks say about scaling, with seeds."""
    folder = "resnet_rs_scaling"
    found = small.read(HERE / folder / "cells.csv")
    said = {} if found is None else small.sentences(found)
    where = f"CIFAR-10, 1,000 images, n = {small.N_SEEDS} a cell"
    needs = f"{UNDECIDED}: needs the declared cells"
    lengths = {} if found is None else found.lengths
    for epochs in lengths:
        claim = next(each for each in found.scaling.claims if each.claim.endswith(f"({epochs} epochs)"))  # type: ignore[union-attr]
        yield Finding(
            RS,
            f"The error follows one power law of FLOPs, whatever is scaled (here: {epochs} epochs)",
            f"{where}, {lengths[epochs].n_cells} cells: {claim.reason}",
            _word(claim.verdict),
            folder,
        )
    for claim, epochs in (
        ("Where training is long, depth is scaled better than width", small.LONG),
        ("Where training is short, width is scaled better than depth", small.SHORT),
    ):
        text = f"{where}: {said[f'slopes {epochs}']}" if epochs in lengths else "not yet run"
        verdict = _word(found.widths_and_depths[epochs]) if found and epochs in lengths else needs
        yield Finding(RS, claim, text, verdict, folder)
    resolution, agreement = (found.resolution, found.agreement) if found else (None, None)
    for claim, key, verdict in (
        (
            "Resolution should grow slowly: larger images bring less and less",
            "resolution",
            small.diminishes(resolution) if resolution else None,
        ),
        (
            "What is best in short training (10 epochs) is not what is best in long training (350)",
            "ranks",
            small.agrees(agreement) if agreement else None,
        ),
    ):
        text = f"{where}: {said[key]}" if key in said else "not yet run"
        yield Finding(RS, claim, text, _word(verdict) if verdict else needs, folder)
    for what, (verdict, text) in small.cost_sentences(HERE / folder).items():
        unit = "latency" if what == "FLOPs" else "training memory"
        claim = f"{what[0].upper()}{what[1:]} do not predict {unit} (here: small networks, one CPU thread)"
        yield Finding(RS, claim, text, _word(verdict), folder)


def _latency_ranks() -> tuple[str, str]:
    table = pl.read_csv(HERE / "resnet_rs_scaling/families.csv")
    pairs = [(a, b) for a in table.rows(named=True) for b in table.rows(named=True) if a["gmacs"] < b["gmacs"]]
    across = [(a, b) for a, b in pairs if a["family"] != b["family"]]
    slower = {cost: sum(a[cost] > b[cost] for a, b in across) for cost in ("cpu_ms", "gpu_ms")}
    inside = sum(a["gpu_ms"] > b["gpu_ms"] for a, b in pairs if a["family"] == b["family"])
    text = (
        f"of {len(across)} pairs from both families, the network with fewer FLOPs is the slower one in "
        f"{slower['cpu_ms']} on "
        f"one CPU and in {slower['gpu_ms']} on one GPU; within a family in {inside} of {len(pairs) - len(across)} (GPU)"
    )
    return text, SUPPORTED if slower["gpu_ms"] > 0 else NOT


def _word(verdict: str) -> str:
    return {"supported": SUPPORTED, "not supported": NOT}.get(verdict, UNDECIDED)


def beyond() -> Iterator[Finding]:
    """Yield what is said about transfer and pseudo-labels."""
    for claim, folder, needs in (
        ("Better training methods transfer: RS beats SimCLR on 5 of 10 comparisons", "transfer", "pre-trained weights"),
        ("and SimCLRv2 on 8 of 10", "transfer", "pre-trained weights and their five target tasks"),
        (
            "Fine-tuning from a better recipe gives a better result",
            "transfer",
            "weights of two recipes on a target task",
        ),
        ("Pseudo-labels: 86.2 on ImageNet with 130 million images", "semi_supervised", "the 130 million images"),
        ("4.7x (TPU) and 5.5x (GPU) faster than Noisy Student at that accuracy", "semi_supervised", "both networks"),
    ):
        there = folder if folder and (HERE / folder / "README.md").exists() else ""
        said = f"at small scale: [studies/{there}](../studies/{there}/README.md)" if there else "not tested"
        yield Finding(RS, claim, said, f"{UNDECIDED} at the paper's scale: needs {needs}", there)


# --- video ----------------------------------------------------------------------------------------------

VIDEO = Ladder(folder="video", prefix="rsv", n_steps=9, n_seeds=5, margin=2.0)
VIDEO_STEPS = (
    ("dropout", 1.0),
    ("label smoothing", 0.5),
    ("stochastic depth", 1.2),
    ("average of the weights", 0.0),
    ("lower weight decay", 0.2),
    ("350 epochs", 0.1),
    ("scale jittering", 1.0),
    ("Squeeze-and-Excitation", 0.5),
    ("ResNet-D", 0.3),
)
"""Of ResNet-RS, Table 7: the change and what it adds on Kinetics-400; recalled, not read in a file."""


def video() -> Iterator[Finding]:
    """Yield what ResNet-RS says about video, at small scale."""
    needs = f"{UNDECIDED}: needs {VIDEO.n_seeds} seeds a step"
    here = small_steps(VIDEO)
    for number, (name, gain) in enumerate(VIDEO_STEPS, start=1):
        verdict, ours = here.get(number, (needs, "not yet run"))
        yield Finding(RS, f"Video, step {number}, {name}: {gain:+.1f} (recalled)", ours, verdict, VIDEO.folder)
    for claim, last in (
        ("Video: training methods give 3D-ResNet-50 +4.0 points on Kinetics-400", 7),
        ("Video: with Squeeze-and-Excitation and ResNet-D +4.8 in all (73.4 to 78.2)", 9),
    ):
        arms = [VIDEO.arm(number) for number in (0, last)]
        if any(arm is None for arm in arms):
            yield Finding(RS, claim, "not yet run", needs, VIDEO.folder)
            continue
        d = ss.compare(list(arms[0]), list(arms[1]), margin=VIDEO.margin)[0].to_dict()  # type: ignore[arg-type]
        p, equivalence_p = (min(1.0, 2 * d[key]) for key in ("p_value", "equivalence_p"))  # of two comparisons
        is_up = p < 0.05 and d["difference"] > 0
        verdict = NOT if equivalence_p < 0.05 or (p < 0.05 and not is_up) else SUPPORTED if is_up else UNDECIDED
        ours = f"n = {VIDEO.n_seeds} each: {with_ends(d['difference'], *d['ci'])}, p = {format_p(p)} (Bonferroni)"
        yield Finding(RS, claim, f"moving_shapes, {ours}", verdict, VIDEO.folder)
    if (alone := n_seeds("video", recipe="rsv00_one_frame")) >= VIDEO.n_seeds:
        values = accuracies("video", recipe="rsv00_one_frame")["val"]
        (row,) = ss.summary(list(values))
        document = row.to_dict()
        yield Finding(
            OTHER,
            "Of a single frame of moving_shapes, a network tells the shape and not the motion (1 of 4): at most 25 %",
            f"rsv00 shown one frame, n = {alone}: {with_ends(document['mean'], *document['mean_ci'])}",
            SUPPORTED if document["mean_ci"][1] <= 25 else NOT if document["mean_ci"][0] > 25 else UNDECIDED,
            VIDEO.folder,
        )


# --- the page -------------------------------------------------------------------------------------------

SECTIONS = {
    "Seeds": seeds,
    "Recipes and architectures": recipes,
    "The ladder of ResNet-RS": ladder,
    "Scaling and cost": scaling,
    "Transfer and pseudo-labels": beyond,
    "Video": video,
}


def page() -> str:
    """Return the whole page."""
    clear()
    sections = {title: list(findings()) for title, findings in SECTIONS.items()}
    words = ("supported here", "in part", "not supported here", "undecided here", "no verdict")
    overview = [f"| | statements | {' | '.join(words)} |", "|---|---|---|---|---|---|---|"]
    for title, rows in sections.items():
        found = [_kind(row.verdict) for row in rows]
        counts = " | ".join(str(found.count(word)) for word in words)
        overview.append(f"| [{title}](#{title.lower().replace(' ', '-')}) | {len(rows)} | {counts} |")
    parts = [HEAD, "\n".join(overview) + "\n"]
    for title, rows in sections.items():
        lines = ["| paper | statement | our result | verdict | study |", "|---|---|---|---|---|"]
        for row in rows:
            link = f"[{row.folder}](../studies/{row.folder}/README.md)" if row.folder else ""
            lines.append(f"| {row.paper} | {row.claim} | {row.result} | {row.verdict} | {link} |")
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    parts.append("`python -m studies.findings` writes this page from the tables in `studies/`.\n")
    return "\n".join(parts)


def _kind(verdict: str) -> str:
    """Return the word of the overview for a verdict, which may say more."""
    if ", not for" in verdict:
        return "in part"
    words = ("not supported here", "supported here", "undecided here")
    return next((word for word in words if verdict.strip("*").startswith(word)), "no verdict")


TRAINED = ("a2_100_seeds", "rsb_seeds", "resnet_rs_ladder", "rsb_recipes", "video", "short_and_long")
"""Folders that `make studies` trains, beside two with frames of their own (cells.csv)."""


def hours_of_training() -> float:
    """Return the hours of one process that the trainings of `make studies` took, as their frames say."""
    seconds = sum(_frame(folder).filter(pl.col("eval_set") == "val")["train_s"].sum() for folder in TRAINED)
    cells = (HERE / folder / "cells.csv" for folder in ("variance_sources", "resnet_rs_scaling"))
    return float(seconds + sum(pl.read_csv(path)["train_s"].sum() for path in cells)) / 3600


def seed_table(folder: str) -> list[str]:
    """Return the rows of a README's table of one sweep, by eval set."""
    found = []
    for row in ss.summary(HERE / folder / "trials.csv"):
        d = row.to_dict()
        values = accuracies(folder)[d["eval_set"]]
        place = int((values > values[0]).sum()) + 1
        n_images = int(_frame(folder).filter(pl.col("eval_set") == d["eval_set"])["n_examples"][0])
        mean_ci, std_ci = (f"[{low:.3f}, {high:.3f}]" for low, high in (d["mean_ci"], d["std_ci"]))
        cells = (d["eval_set"], f"{n_images:,}", f"{d['mean']:.3f}", mean_ci, f"{d['std']:.3f}", std_ci)
        ends = (f"{d['min']:.3f}", f"{d['max']:.3f}", f"{values[0]:.3f} (rank {place})")
        found.append("| " + " | ".join((*cells, *ends)) + " |")
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
