"""Pictures of what tables say: seaborn draws, nothing is computed here that is not in a table (the curve excepted)."""

from seedstudy.plots.canvas import save
from seedstudy.plots.deciding import audit, power, race
from seedstudy.plots.differences import estimation
from seedstudy.plots.shapes import fits
from seedstudy.plots.sweeps import distributions

__all__ = ["audit", "distributions", "estimation", "fits", "power", "race", "save"]
