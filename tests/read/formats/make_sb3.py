"""Write Stable-Baselines3's progress.csv, monitor.csv and evaluations.npz. Made with stable-baselines3 2.9.2.

PPO learns CartPole for 256 steps in each run: these numbers are measured, not the known ones. With CSV alone the logger
writes them as they are; columns appear when the first episode ends.
"""

from __future__ import annotations

from pathlib import Path

import gymnasium
from making import keep
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor


def write(out: Path) -> None:
    """Train six agents."""
    for arm, gamma in (("near", 0.5), ("far", 0.99)):
        for seed in (0, 1, 2):
            folder = out / "logs" / f"ppo_{arm}" / f"seed_{seed}"
            folder.mkdir(parents=True)
            environment = Monitor(gymnasium.make("CartPole-v1"), str(folder))
            agent = PPO("MlpPolicy", environment, n_steps=64, batch_size=32, gamma=gamma, seed=seed, device="cpu")
            agent.set_logger(configure(str(folder), ["csv", "json"]))
            evaluation = EvalCallback(
                Monitor(gymnasium.make("CartPole-v1")), eval_freq=64, log_path=str(folder), verbose=0
            )
            agent.learn(256, callback=evaluation)


if __name__ == "__main__":
    keep(write, "sb3")
