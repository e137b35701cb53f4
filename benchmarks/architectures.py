"""Does every network of RSB Table 3 and of ResNet-RS train under its recipe, at its sizes, with its parameters?

Each network that a recipe's source names is built by our own code, takes one update (forward, loss, backward,
optimiser) at the recipe's training size and one evaluation at its test size, on random images; its parameters are
counted against timm's result tables (tests/reference/timm_params.csv). One row is printed as soon as it is there::

    python benchmarks/architectures.py --recipes a2,a3,resnet_rs --batch 2 --out architectures.csv
"""

from __future__ import annotations

import argparse
import csv
import gc
import sys
import time
from pathlib import Path
from typing import Any

import torch

from seedstudy import machine
from seedstudy.recipes.reader import read_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.train.models import build_model
from seedstudy.train.parts import build_loss, build_mixing, build_optimizer

PARAMS = Path(__file__).parents[1] / "tests" / "reference" / "timm_params.csv"
COLUMNS = ("recipe", "model", "train_px", "test_px", "params_m", "timm_params_m", "loss", "step_s", "test_s", "ok")


def published_params() -> dict[str, float]:
    """Return millions of parameters by model, as timm's result table prints them."""
    lines = [line for line in PARAMS.read_text().splitlines() if not line.startswith("#")]
    return {row["model"]: float(row["params_m"]) for row in csv.DictReader(lines)}


def n_params_at_224(model: Any, recipe: Recipe) -> int:
    """Count the parameters; a ViT for another size than timm's 224 px has fewer or more position embeddings."""
    n_params = sum(parameter.numel() for parameter in model.parameters())
    if getattr(model, "pos_embed", None) is not None:
        patch = model.patch_embed.patch_size[0]
        n_params += ((224 // patch) ** 2 - (recipe.train_size // patch) ** 2) * model.embed_dim
    return n_params


def try_out(model_name: str, recipe: Recipe, published: float | None, batch: int) -> dict[str, Any]:
    """Take one update and one evaluation; return a row of the table."""
    generator = torch.Generator().manual_seed(0)
    model = build_model(model_name, recipe, 1000, seed=0)
    params_m = n_params_at_224(model, recipe) / 1e6
    optimizer, mix = build_optimizer(model, recipe), build_mixing(recipe, 1000)
    loss_of = build_loss(recipe, is_mixed=mix is not None)
    before = next(model.parameters()).detach().clone()

    started = time.perf_counter()
    images = torch.randn(batch, 3, recipe.train_size, recipe.train_size, generator=generator)
    targets = torch.randint(1000, (batch,), generator=generator)
    if mix is not None:
        images, targets = mix(images, targets)
    loss = loss_of(model.train()(images), targets)
    loss.backward()
    optimizer.step()
    step_s = time.perf_counter() - started

    started = time.perf_counter()
    with torch.inference_mode():
        logits = model.eval()(torch.randn(1, 3, recipe.test_size, recipe.test_size, generator=generator))
    moved = not torch.equal(before, next(model.parameters()).detach())
    is_ok = bool(torch.isfinite(loss)) and moved and tuple(logits.shape) == (1, 1000)
    return {
        "recipe": recipe.name,
        "model": model_name,
        "train_px": recipe.train_size,
        "test_px": recipe.test_size,
        "params_m": f"{params_m:.2f}",
        "timm_params_m": "" if published is None else f"{published:.2f}",
        "loss": f"{float(loss.detach()):.4f}",
        "step_s": f"{step_s:.1f}",
        "test_s": f"{time.perf_counter() - started:.1f}",
        "ok": is_ok and (published is None or f"{params_m:.2f}" == f"{published:.2f}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="a2,a3,resnet_rs,resnet_rs_160,resnet_rs_192,resnet_rs_224,resnet_rs_320")
    parser.add_argument("--models", default="", help="only these (default: all that the recipes name)")
    parser.add_argument("--batch", type=int, default=2, help="images in the update; even, for the mixing")
    parser.add_argument("--out", type=Path, help="also write the table as CSV")
    options = parser.parse_args()
    published, wanted = published_params(), set(options.models.split(",")) - {""}
    rows = []
    print("\t".join(COLUMNS), flush=True)
    for name in options.recipes.split(","):
        file = read_recipe(name)
        for model in file.models:
            if wanted and model not in wanted:
                continue
            recipe = file.for_model(model, given={"micro_batch": options.batch})
            rows.append(try_out(model, recipe, published.get(model), options.batch))
            print("\t".join(str(rows[-1][column]) for column in COLUMNS), flush=True)
            gc.collect()
    if options.out:
        with options.out.open("w", newline="") as table:
            writer = csv.DictWriter(table, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    n_ok = sum(row["ok"] for row in rows)
    peak = machine.peak_memory() / 2**30
    print(f"{n_ok} of {len(rows)} are right; peak memory {peak:.1f} GiB, torch {torch.__version__}", file=sys.stderr)
    sys.exit(n_ok < len(rows))


if __name__ == "__main__":
    main()
