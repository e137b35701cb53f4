"""What words in the names of columns hint at. A hint gives a column its role only where its cells agree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from seedstudy.read.metrics import plain
from seedstudy.read.table import Role


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARMS: Mapping[Role, tuple[str, ...]] = {
    Role.RECIPE: ("recipe",),
    Role.MODEL: ("model", "architecture", "arch", "model_name"),
    Role.DATA: ("data", "dataset"),
    Role.EVAL_SET: ("eval_set", "split"),
}
"""What divides a table into groups by itself -> names of its column, the preferred first."""

COUNTS = ("n_correct", "n_examples")
"""Columns of integer counts, from which accuracies are exact."""

EVAL_SETS = _words("train training val valid validation dev test eval evaluation holdout")
TRAINING = _words("train training")

_FINISHED = _words("ok done finished finish success successful succeeded complete completed terminated")
_NOT_FINISHED = _words("""
    failed fail failure error errored crashed crash killed pruned running pending waiting paused scheduled queued
    interrupted timeout timed_out preempted preempting diverged stopped aborted canceled cancelled user_canceled
    sys_canceled early_stopped died unknown initializing created deleted unfinished incomplete stopping out_of_memory
    oom node_fail
""")
STATUSES: Mapping[str, bool] = {**dict.fromkeys(_FINISHED, True), **dict.fromkeys(_NOT_FINISHED, False)}
"""Words for how a run ended, of Optuna, Ray, NNI, W&B, MLflow, sacred, Slurm and of studies -> whether it finished."""

CLOCK = _words("""
    epoch step steps iter iters iteration iterations timestep timesteps round rounds update updates episode episodes
    frame frames generation generations tick ticks kimg cycle cycles it ep
""")
PLURAL_CLOCK = _words("""
    steps iters iterations timesteps rounds updates episodes frame frames generations ticks cycles samples tokens
    examples images
""")
"""Words that may also mean how long all runs trained, or what each sees at once: only a constant rise makes a clock."""
_NO_CLOCK = _words("""
    best warmup max min per budget size last final early stop decay every at run to limit swa start interval freq
    frequency milestone milestones gamma lr
""")
_AFTER_CLOCK = _words("seen sampled total num idx index count trained processed done number no")

_FED, _CONSUMED = _words("samples tokens examples images"), _words("seen consumed processed sampled trained")
_IN_THE_END = _words("best last final run ran trained stopped completed actual early")

_SEED = _words("seed seeds rng randomseed")
_NO_SEED = _words("mean std n num avg")

IDENTITY = _words("""
    id ids uuid uid name run runs runid runname trial job number index idx rep repeat replicate replica repetition try
    attempt logdir dir folder path file filename artifact checkpoint ckpt
""")
_BESIDE_IDENTITY = _words("mlflow tags wandb slurm unique full short display sys uri log output save logging result")

NOISE = _words("""
    time times date datetime timestamp created updated started finished ended start end duration runtime elapsed wall
    walltime seconds secs sec hours minutes mins min hms hour host hostname node ip pid user author owner machine server
    gpu gpus cuda device devices hardware accelerator cluster mem memory vram notes note comment comments description
    desc msg message commit sha git url link throughput speed fps eta tags
""")
VERSIONS = _words("commit sha git revision rev")
"""Versions of the code: they never tell recipes apart, but runs of several are pooled with a note."""
REMARKS = _words("note notes comment comments description desc msg message")
"""Words that a person wrote about a run: they may say what no other column does."""
SAVED = _words("checkpoint ckpt snapshot")
"""Numbers of these count points of one run, unless a seed is beside them."""
"""Times, machines and comments: nothing about a recipe."""

SETTING = _words("""
    lr learning wd decay momentum batch bs size width depth layers layer hidden dropout drop warmup optimizer optim
    epochs budget scale threshold th resolution res img image images param params config cfg hparam hparams hyper args
    arg mult factor smoothing mixup cutmix eps epsilon sigma clip patience heads dim dims channels kernel fold folds n
    num nb k alpha beta gamma lambda temperature temp rank setting variant method arm flops macs parameters split frac
    fraction ratio subset portion limit crop augment ema
""")
RESULT = _words("""
    val valid validation test train eval metric metrics loss acc accuracy top1 top5 acc1 acc5 best last final mean score
    ece mce nce brier recall precision specificity sensitivity auc auroc auprc roc f1 mcc kappa reward return regret
    success win elo ndcg mrr hits map map50 map95 ap ar iou miou dice jaccard pq ssim psnr lpips fid kid bleu rouge
    cider meteor spice wer cer ppl perplexity bpb bpc nll elbo kl entropy mse rmse mae mape r2 spearman pearson exact em
    fpr tpr tp fp tn fn grad norm sparsity macro micro weighted balanced
""")
GROUPS = _words("config group sweep recipe arm setting variant method experiment")
"""A name or id of these is that of a recipe, not that of a run."""
SPREADS = _words("std stdev stddev sd sem se stderr ci ci95 lower upper lo hi low high var variance pm")
MEANS = _words("mean avg average")
N_OF_RUNS = re.compile(
    r"(n|num|nb|no|number|count)(_of)?_?(seeds?|runs?|trials?|reps?|repeats?)|(seeds?|runs?|trials?)_count"
)
PARAMETERS = re.compile(
    r"^(params?|config|cfg|hparams?|hyperparameters|hp|args|settings?|train_loop_config|user_attrs)[./_]", re.IGNORECASE
)
"""How loggers write the settings of a run: ``params.lr``, ``config/lr``, ``params_lr``."""


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: ``trainer/globalStep`` -> trainer, global, step."""
    return plain(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).split("_")


def is_identity_name(words: Sequence[str]) -> bool:
    """Say whether words name or number runs: ``trial_id``, ``tags.mlflow.runName``; not ``config_id``."""
    return words[-1] in IDENTITY | {"uri"} and not set(words) - IDENTITY - _BESIDE_IDENTITY


def is_seed_name(words: Sequence[str]) -> bool:
    """Say whether words name a seed: ``params.seed``, ``random_state``."""
    return bool(set(words) & _SEED or words[-2:] == ["random", "state"]) and not set(words) & _NO_SEED


def is_clock_name(name: str) -> bool:
    """Say whether a name means what counts within a run: ``Epoch #``, ``time/iterations``; not ``best_epoch``."""
    words = words_of(name)
    core = [word for word in words if word not in _AFTER_CLOCK]
    is_count = bool(core) and (core[-1] in CLOCK or (core[-1] in _FED and bool(set(words) & _CONSUMED)))
    return is_count and not set(words) & _NO_CLOCK and not PARAMETERS.match(name)


def is_length_name(words: Sequence[str]) -> bool:
    """Say whether words name how long a run trained in the end, or where its best result was: ``epochs_run``."""
    counts = CLOCK | {"epochs"}
    return bool(set(words) & counts and set(words) & _IN_THE_END)
