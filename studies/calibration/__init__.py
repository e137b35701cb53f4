"""Measure what the procedures promise: simulate seeds, compare and describe them, count the errors.

``python -m studies.calibration`` writes the tables of `docs/calibration.md`, ``python -m studies.calibration.race``
those of `docs/calibration_race.md`. Thousands of replicates need formulas that take many samples at once: `rows` has
them, and checks replicates of every figure against what users call (`seedstudy.compare`, `seedstudy.race`).
"""
