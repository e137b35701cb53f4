"""Statistics on plain arrays: numpy, scipy and statsmodels do the arithmetic, the choice of method is ours.

Nothing here knows a file, a frame, a network or a plot. Every interval is an `Estimate`: value, low, high, level,
n, method and warnings travel together.
"""
