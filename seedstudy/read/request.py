"""What a caller asks of files: which numbers, and what the files do not say themselves."""

from __future__ import annotations

from dataclasses import dataclass

from seedstudy.errors import StudyError
from seedstudy.read.metrics import DEFAULT_METRIC


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Which results to read. Columns are named as the file writes them."""

    metric: str = DEFAULT_METRIC
    """A column, or a metric's name; the default finds the column that means top-1."""
    eval_sets: tuple[str, ...] | None = None
    """None for all; names of the file's own, or the known ones."""
    model: str | None = None
    data: str | None = None
    """The only model and data set whose results count; None: any."""
    unit: str | None = None
    """``percent`` or ``fraction`` of accuracies; needed only where the numbers leave it open."""
    by: tuple[str, ...] = ()
    """Columns whose values are the arms (``--by``)."""
    ignore: tuple[str, ...] = ()
    """Columns that say nothing about the recipe (``--ignore``): as if they were not in the file."""
    clock: str | None = None
    """Column that counts within a run (``--clock``), where the file does not show it."""
    seeds_by: str | None = None
    """Column that numbers the seeds (``--seeds-by``), where its name does not say so."""
    pool: bool = False
    """The rows are seeds of one recipe, whatever columns differ (``--pool``)."""

    def __post_init__(self) -> None:
        """Refuse a unit that does not exist."""
        if self.unit not in (None, "percent", "fraction"):
            raise StudyError(f'--unit "{self.unit}": expected percent or fraction.')
