"""Measure what the procedures promise: simulate seeds, apply the very formulas of the product, count the errors.

``python -m studies.calibration`` writes the tables of `docs/calibration.md`.
"""
