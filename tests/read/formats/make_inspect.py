"""Write Inspect logs, as .eval and as .json. Made with inspect-ai 0.3.285, Python 3.11.

A mock model answers four questions in each of six runs; one run more ends with an error. The logs hold no samples.
"""

from __future__ import annotations

from pathlib import Path

from inspect_ai import Task, eval, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver
from making import keep

RIGHT = {"small": (1, 2, 1), "large": (3, 4, 3)}
"""Right answers of four."""


@solver
def fails(when: bool) -> Solver:
    """Raise an error where asked to."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if when:
            raise RuntimeError("no answer")
        return state

    return solve


@task
def sums(prompt: str = "plain", broken: bool = False) -> Task:
    """Four sums."""
    samples = [Sample(input=f"1 + {n}", target=str(1 + n)) for n in range(4)]
    return Task(dataset=samples, solver=[fails(broken), generate()], scorer=match())


def write(out: Path) -> None:
    """Ask the mock models."""
    for kind in ("eval", "json"):
        for name, right in RIGHT.items():
            for seed in range(4):
                answers = [str(1 + n) if n < right[seed % 3] else "?" for n in range(4)]
                outputs = [ModelOutput.from_content("mockllm/model", answer) for answer in answers]
                for output in outputs:  # else tokens are counted, for which Inspect downloads a table
                    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
                model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
                if seed == 3 and name == "large":
                    continue
                eval(
                    sums(prompt=name, broken=seed == 3),
                    model=model,
                    seed=seed,
                    temperature=1.0,
                    log_dir=str(out / kind),
                    log_format=kind,
                    log_samples=False,
                    display="none",
                    max_connections=1,
                    max_samples=1,
                    log_level="error",
                )


if __name__ == "__main__":
    keep(write, "inspect")
