"""Pictures of what tables say: seaborn draws, nothing is computed here that is not in a table (the curve excepted)."""

from seedstudy.show.plots.canvas import save
from seedstudy.show.plots.deciding import audit, power, race
from seedstudy.show.plots.differences import estimation
from seedstudy.show.plots.shapes import fits
from seedstudy.show.plots.sweeps import distributions

__all__ = ["audit", "distributions", "estimation", "fits", "power", "race", "save"]
