"""Which figure of one training predicts the std over seeds? Reads sweeps, writes sweeps.csv, prints the errors.

python -m studies.noise_from_one.predict [FOLDER...] (of studies, such as results/rsb_seeds; README.md has the rule)

Sweeps of other studies stay in sweeps.csv as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

import seedstudy as ss
from seedstudy.decide.select import independent
from seedstudy.study.seeds import PURPOSES
from studies.noise_from_one.one_training import curve_noise, predictions_of_std

HERE = Path(__file__).parent
FEWEST_SEEDS = 8
CANDIDATES = ("probabilities", "recalibrated", "error", "curve")
PREDICTED = tuple(name for candidate in CANDIDATES for name in (candidate, f"{candidate}_log_sd"))


def sweep(folder: Path) -> list[dict[str, object]]:
    """Return one row per recipe and eval set: the std over seeds, and what each trial alone predicts.

    Of trials that share random streams, as in a design, those that share none.
    """
    trials = ss.load_trials(folder).filter(status="ok", vary=",".join(PURPOSES))
    rows: list[dict[str, object]] = []
    for (recipe, name), everything in trials.group_by("recipe", "eval_set", maintain_order=True):
        of_set = independent(everything.sort("seed"))
        if of_set.height < FEWEST_SEEDS:
            continue
        found: dict[str, list[float]] = {candidate: [] for candidate in CANDIDATES}
        for trial_id in of_set["trial_id"]:
            frame = ss.load_predictions(folder, trial_id).filter(pl.col("eval_set") == name)
            right = frame.select(pl.col("labels").list.contains(pl.col("predicted"))).to_series().to_numpy()
            probability = frame["label_probability"]
            known = None if probability.null_count() else probability.to_numpy()
            for candidate, value in predictions_of_std(right, known).items():
                found[candidate].append(100 * value)
            curve = pl.read_parquet(folder / "trials" / trial_id / "curves.parquet")
            n_correct = curve["n_correct"].drop_nulls().to_numpy() / of_set["n_examples"][0]
            found["curve"].append(100 * curve_noise(n_correct) if name == "val" and len(n_correct) > 3 else np.nan)
        accuracy = 100 * (of_set["n_correct"] / of_set["n_examples"]).to_numpy()
        row: dict[str, object] = {
            "study": folder.name, "recipe": recipe,
            "model": of_set["model"][0], "data": of_set["data"][0], "eval_set": name,
            "epochs": of_set["epochs"][0], "n_seeds": len(accuracy), "n_images": of_set["n_examples"][0],
            "mean": accuracy.mean(), "std": accuracy.std(ddof=1),
        }  # fmt: skip
        for candidate, values in found.items():
            logs = np.log(values)
            row[candidate] = float(np.exp(logs.mean())) if np.isfinite(logs).all() else None
            row[f"{candidate}_log_sd"] = float(logs.std(ddof=1)) if np.isfinite(logs).all() else None
        rows.append(row)
    return rows


def errors(table: pl.DataFrame, candidate: str) -> tuple[int, float, float]:
    """Return sweeps, the constant by which predictions are multiplied, and the log error of one, by the rule."""
    known = table.filter(pl.col(candidate).is_not_null())
    log_ratio = np.log(known["std"] / known[candidate]).to_numpy()
    within, n = known[f"{candidate}_log_sd"].to_numpy(), known["n_seeds"].to_numpy()
    left_out = np.empty(len(known))
    for i, study in enumerate(known["study"]):
        others = (known["study"] != study).to_numpy()  # eval sets of one training go together
        left_out[i] = log_ratio[i] - log_ratio[others].mean()
    square = np.mean(left_out**2 + within**2 - 1 / (2 * (n - 1)))
    return known.height, float(np.exp(log_ratio.mean())), float(np.sqrt(max(square, 0.0)))


def main() -> None:
    """Read the sweeps and print how far each candidate is off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    options = parser.parse_args()
    table = pl.read_csv(HERE / "sweeps.csv", schema_overrides=dict.fromkeys(PREDICTED, pl.Float64()))
    if options.folders:
        read = pl.DataFrame([row for folder in options.folders for row in sweep(folder)], infer_schema_length=None)
        kept = table.filter(~pl.col("study").is_in(read["study"].to_list()))
        table = pl.concat([kept, read.cast(dict(table.schema))])
        table.write_csv(HERE / "sweeps.csv", float_precision=4)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200):
        print(table.select("study", "recipe", "eval_set", "n_seeds", "mean", "std", *CANDIDATES))
        ratio = (pl.col("std") / pl.col("error")).log().mean().exp()
        print(table.group_by("study", maintain_order=True).agg(ratio.alias("std / error"), pl.len()))
    for name, part in (("all", table), ("val", table.filter(pl.col("eval_set") == "val"))):
        for candidate in CANDIDATES:
            known = part.filter(pl.col(candidate).is_not_null())
            if known["study"].n_unique() < 2:
                ratio = np.log(known["std"] / known[candidate])
                if known.height > 1:
                    spread = f"log ratio {ratio.mean():.2f} ± {ratio.std():.2f}"
                    print(f"{name} {candidate}: n {known.height}, one study alone, {spread}")
                continue
            n, constant, error = errors(part, candidate)
            factor = np.exp(1.645 * error)
            print(f"{name} {candidate}: n {n}, times {constant:.2f}, log error {error:.2f}, 90 % factor {factor:.2f}")


if __name__ == "__main__":
    main()
