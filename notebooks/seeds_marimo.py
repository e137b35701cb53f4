"""How a verdict moves with the number of seeds: ``marimo edit notebooks/seeds_marimo.py`` (pip install marimo)."""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo
    import polars as pl

    import seedstudy as ss

    trials = ss.example("a2_a3")
    return mo, pl, ss, trials


@app.cell
def _(mo):
    seeds = mo.ui.slider(2, 6, value=6, label="seeds of each recipe")
    margin = mo.ui.slider(0.1, 3.0, step=0.1, value=0.5, label="margin in points")
    mo.vstack([mo.md("# How many seeds settle a question?"), seeds, margin])
    return margin, seeds


@app.cell
def _(margin, pl, seeds, ss, trials):
    answer = ss.compare(trials.filter(pl.col("seed") < seeds.value), "a3", "a2", eval_sets="val", margin=margin.value)
    answer
    return (answer,)


@app.cell
def _(answer):
    answer.plot()
    return


if __name__ == "__main__":
    app.run()
