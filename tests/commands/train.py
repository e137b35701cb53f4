"""Somebody's training, reduced to what a launcher sees of it: it draws a number, and may behave badly on the way."""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--how", default="ok")
    parser.add_argument("--mean", type=float, default=78.0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    chance = random.Random(0 if given.how == "ignores its seed" else given.seed)
    top1 = given.mean + chance.gauss(0.0, 0.2)
    print("training", given.seed, flush=True)
    match given.how:
        case "crashes":
            raise RuntimeError("boom")
        case "crashes sometimes" if given.seed % 2:
            raise RuntimeError("bad luck")
        case "is killed":
            os.kill(os.getpid(), 9)
        case "hangs":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # and so does its child
            time.sleep(600)
        case "writes nothing":
            return
        case "prints":
            print(json.dumps({"epoch": 1, "eval_top1": top1}))
            return
        case "prints it behind a bar":
            print(f"50%\r100%\r{json.dumps({'eval_top1': top1})}")
            return
        case "prints it twice":
            print(json.dumps({"eval_top1": top1}))
            print(json.dumps({"eval_top1": top1 + 1.0}))
            return
        case "prints it on every rank":
            for _ in range(4):
                print(json.dumps({"eval_top1": top1}))
            return
        case "prints a fraction":
            print(json.dumps({"eval_top1": top1 / 100.0}))
            return
        case "prints a quality":
            print(json.dumps({"quality": top1 / 100.0}))
            return
        case "writes NaN":
            top1 = float("nan")
    done = given.output / "checkpoint"
    first = int(done.read_text()) if given.resume and done.exists() else 0
    for epoch in range(first, given.epochs):
        time.sleep(0.3 if given.epochs > 2 else 0.0)
        with (given.output / "summary.csv").open("a", newline="") as file:
            rows = csv.writer(file)
            if epoch == 0:
                rows.writerow(["epoch", "train_loss", "eval_top1"])
            rows.writerow([epoch, 2.0 - 0.1 * epoch, top1])
        done.write_text(str(epoch + 1))
        print("epoch", epoch, flush=True)


if __name__ == "__main__":
    main()
