"""The figures as Markdown tables, and the way into a document."""

from __future__ import annotations

import math

from studies.calibration.components import MOST
from studies.calibration.designs import (
    ALPHA,
    LEVEL,
)
from studies.calibration.run import Calibration
from studies.calibration.two_arms import PERMUTED


def _cell(value: float, *, too_high: float | None = None, too_low: float | None = None) -> str:
    """Return a figure; bold where it misses what is promised."""
    if math.isnan(value):
        return "·"
    text = f"{value:.3f}".replace("0.", ".", 1) if value < 1 else "1.000"
    misses = (too_high is not None and value > too_high) or (too_low is not None and value < too_low)
    return f"**{text}**" if misses else text


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def tables(result: Calibration) -> dict[str, str]:
    """Return the measured figures as Markdown tables by name."""
    limit = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / result.replicates)
    limit_of_permuted = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / min(PERMUTED, result.replicates))
    lowest = LEVEL - 3 * math.sqrt(LEVEL * (1 - LEVEL) / result.replicates)
    sizes = [
        (
            row.design.name,
            f"{row.design.n_a} / {row.design.n_b}",
            *(
                _cell(value, too_high=limit)
                for value in (
                    row.welch,
                    row.verdict,
                )
            ),
            _cell(row.permutation, too_high=limit_of_permuted),
            *(_cell(value, too_high=limit) for value in (row.mann_whitney, row.brunner_munzel)),
            _cell(row.no_spread),
        )
        for row in result.sizes
    ]
    coverages = [
        (
            row.design.name,
            f"{row.design.n_a} / {row.design.n_b}",
            f"{row.shift:g}",
            *(
                _cell(value, too_low=lowest)
                for value in (row.difference, row.hedges_g, row.prob_b_greater, row.prob_by_ranks, row.ratio)
            ),
            _cell(row.hodges_lehmann, too_low=row.hodges_lehmann_level - (LEVEL - lowest)),
            _cell(row.hodges_lehmann_level),
        )
        for row in result.coverages
    ]
    one = [
        (
            arm.shape,
            str(arm.n),
            *(_cell(value, too_low=lowest) for value in (arm.mean, arm.std, arm.std_robust)),
            _cell(arm.median, too_low=arm.median_level - (LEVEL - lowest)),
            _cell(arm.median_level),
            _cell(arm.new_seed, too_low=lowest),
            _cell(arm.warned),
        )
        for arm in result.one_arm
    ]
    families = [
        (
            str(row.k),
            row.spreads,
            str(row.n),
            *(_cell(value, too_high=limit) for value in (row.welch_holm, row.interaction)),
        )
        for row in result.families
    ]
    powers = [
        (
            str(row.n),
            f"{row.shift:g}",
            *(
                _cell(value)
                for value in (
                    row.planned,
                    row.detected,
                    row.permutation,
                    row.mann_whitney,
                    row.equivalent,
                    row.inconclusive,
                    row.wrong_direction,
                    row.single_run_error,
                    row.single_run_error_true,
                )
            ),
        )
        for row in result.powers
    ]
    claims = [
        (
            row.design.name,
            f"{row.design.n_a} / {row.design.n_b}",
            *(
                _cell(value, too_high=limit)
                for value in (row.difference, row.difference_unwarned, row.equivalence, row.equivalence_unwarned)
            ),
        )
        for row in result.claims
    ]
    caveats: list[tuple[str, ...]] = [
        (str(row.n), f"{row.shift:g}", _cell(row.detected), _cell(row.borderline)) for row in result.caveats
    ]
    borderline: list[tuple[str, ...]] = [
        (
            row.kind,
            str(row.n),
            f"{row.ratio:g}",
            f"{row.difference:.4f}",
            f"{row.difference_used:.4f}",
            row.difference_from,
            f"{row.equivalence:.4f}",
            f"{row.equivalence_used:.4f}",
        )
        for row in result.borderline
    ]
    across: list[tuple[str, ...]] = [
        (
            str(row.k),
            str(row.n),
            f"{row.tau:g}",
            f"1 : {row.spreads:g}",
            _cell(row.size, too_high=limit),
            _cell(row.tau_shown, too_high=limit if row.tau == 0.0 else None),
            _cell(row.new_data_set, too_low=lowest),
        )
        for row in result.across
    ]
    narrow = LEVEL - 3 * math.sqrt(LEVEL * (1 - LEVEL) / min(MOST, result.replicates))
    components: list[tuple[str, ...]] = [
        (
            row.truth,
            str(row.n_levels),
            f"{row.largest_bias:.1f}",
            *(_cell(value, too_low=narrow) for value in (row.alone, row.pairs, row.whole, row.total, row.absent)),
            "yes" if row.is_warned else "no",
        )
        for row in result.components
    ]
    return {
        "sizes": _table(
            (
                "seeds drawn from",
                "n_A / n_B",
                "Welch",
                "better or worse",
                "permutation",
                "Mann-Whitney",
                "Brunner-Munzel",
                "no spread",
            ),
            sizes,
        ),
        "coverages": _table(
            (
                "seeds drawn from",
                "n_A / n_B",
                "difference / std",
                "difference",
                "Hedges g",
                "P(B > A)",
                "by ranks",
                "std ratio",
                "Hodges-Lehmann",
                "its level",
            ),
            coverages,
        ),
        "one arm": _table(
            (
                "seeds drawn from",
                "n",
                "mean",
                "std",
                "std robust",
                "median",
                "its level",
                "new seed",
                "warned",
            ),
            one,
        ),
        "families": _table(("recipes", "spreads", "n", "Welch-Holm", "interaction 2 x 2"), families),
        "powers": _table(
            (
                "n",
                "difference / std",
                "planned",
                "detected",
                "permutation",
                "Mann-Whitney",
                "equivalent",
                "inconclusive",
                "wrong direction",
                "printed single-run error",
                "true",
            ),
            powers,
        ),
        "claims": _table(
            ("seeds drawn from", "n_A / n_B", "better or worse", "without caveat", "equivalent", "without caveat"),
            claims,
        ),
        "caveats": _table(("n", "difference / std", "detected", "of these borderline"), caveats),
        "borderline": _table(
            (
                "arms",
                "seeds (smaller arm)",
                "sizes",
                "difference: p at 5 %",
                "used",
                "worst shape",
                "equivalence: p at 5 %",
                "used",
            ),
            borderline,
        ),
        "across": _table(
            (
                "data sets",
                "seeds",
                "tau / std",
                "std",
                "wrong difference",
                "tau > 0 shown",
                "new data set",
            ),
            across,
        ),
        "components": _table(
            (
                "what is there",
                "levels",
                "largest bias / se",
                "sources alone",
                "pairs",
                "all three",
                "sum",
                "absent ones",
                "warned",
            ),
            components,
        ),
    }


def replaced(text: str, name: str, table: str) -> str:
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n{table}\n{end}{after}"
