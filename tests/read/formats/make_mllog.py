"""Write MLPerf result files with mlperf-logging's own logger. Made with mlperf-logging 4.1.68, Python 3.11.

Two submissions times three runs that reach the target, and one run that was aborted.
"""

from __future__ import annotations

from pathlib import Path

from making import ARMS, EPOCHS, SEEDS, keep, top1
from mlperf_logging import mllog
from mlperf_logging.mllog import constants


def write(out: Path) -> None:
    """Write a file per run."""
    logger = mllog.get_mllogger()
    for arm, lr in ARMS.items():
        for seed in [*SEEDS, 3]:
            folder = out / "results" / f"machine_{arm}" / "resnet"
            folder.mkdir(parents=True, exist_ok=True)
            logger.logger.handlers.clear()
            mllog.config(filename=str(folder / f"result_{seed}.txt"))
            logger.event(constants.SUBMISSION_BENCHMARK, constants.RESNET)
            logger.event(constants.SUBMISSION_PLATFORM, f"machine_{arm}")
            logger.start(constants.INIT_START)
            logger.event(constants.SEED, seed)
            logger.event(constants.GLOBAL_BATCH_SIZE, 3264)
            logger.event(constants.OPT_BASE_LR, lr)
            logger.end(constants.INIT_STOP)
            logger.start(constants.RUN_START)
            for epoch in range(1 if seed == 3 else EPOCHS):
                logger.start(constants.EVAL_START, metadata={constants.EPOCH_NUM: epoch + 1})
                accuracy = top1(arm, seed, epoch) / 100
                logger.event(constants.EVAL_ACCURACY, accuracy, metadata={constants.EPOCH_NUM: epoch + 1})
                logger.end(constants.EVAL_STOP, metadata={constants.EPOCH_NUM: epoch + 1})
            status = constants.ABORTED if seed == 3 else constants.SUCCESS
            logger.end(constants.RUN_STOP, metadata={constants.STATUS: status})


if __name__ == "__main__":
    keep(write, "mllog")
