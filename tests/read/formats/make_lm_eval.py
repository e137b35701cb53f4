"""Write the results of lm-evaluation-harness. Made with lm-eval 0.4.13, Python 3.11.

A model that draws its answers from the seed answers 50 questions of two small tasks, six times.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import lm_eval
import numpy as np
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from making import keep

TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_target: answer
doc_to_choice: ["yes", "no"]
metric_list:
  - metric: acc
  - metric: acc_norm
"""


class Guess(LM):
    """Prefers the right answer with a fixed probability."""

    def __init__(self, skill: float, seed: int) -> None:
        super().__init__()
        self.skill, self.rng = skill, np.random.default_rng(seed)

    def loglikelihood(self, requests: list) -> list[tuple[float, bool]]:
        right = [request.arguments[1].strip() == "yes" for request in requests]
        return [((1.0 if yes else 0.0) + (self.rng.random() - self.skill) * 2, False) for yes in right]

    def loglikelihood_rolling(self, requests: list) -> list[float]:
        raise NotImplementedError

    def generate_until(self, requests: list) -> list[str]:
        raise NotImplementedError


def write(out: Path) -> None:
    """Evaluate."""
    tasks = out / "tasks"
    tasks.mkdir()
    for name in ("odd", "even"):
        rows = [{"question": f"{name} {n}?", "answer": "yes"} for n in range(50)]
        (tasks / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tasks / f"{name}.yaml").write_text(TASK.format(name=name, file=tasks / f"{name}.jsonl"))
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    for arm, skill in (("small", 0.2), ("large", 0.6)):
        for seed in (0, 1, 2):
            results = lm_eval.simple_evaluate(
                Guess(skill, seed), tasks=["odd", "even"], task_manager=manager, num_fewshot=0, bootstrap_iters=0,
                random_seed=seed, numpy_random_seed=1234, torch_random_seed=1234, fewshot_random_seed=1234,
                log_samples=False,
            )  # fmt: skip
            # The command line fills these in; a model object has no arguments.
            results["config"] |= {"model": "guess", "model_args": {"skill": skill, "pretrained": arm}}
            results["model_name"] = arm
            tracker = EvaluationTracker(output_path=str(out / "results" / arm))
            tracker.general_config_tracker.model_name_sanitized = arm
            tracker.save_results_aggregated(results=results, samples=None)
    for path in [*tasks.iterdir()]:
        path.unlink()


if __name__ == "__main__":
    keep(write, "lm_eval")
