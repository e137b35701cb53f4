"""What `explain` prints: the ideas behind the answers, in plain words. Figures come from docs/calibration.md."""

from __future__ import annotations

from collections.abc import Mapping

from seedstudy.errors import StudyError, suggest

TOPICS: Mapping[str, str] = {
    "verdict": """\
Every comparison ends in one of four words.

better, worse   The recipes differ: if they were equally good, the luck of the
                seeds alone would show so large a difference in less than 5 %
                of cases (--alpha).
equivalent      Whatever difference there is lies within the margin that you
                declared (--margin).
inconclusive    Neither is shown. This is not "no difference": more seeds may
                show one.

The word is decided on one eval set, declared before the numbers (val, or
--primary). Other eval sets support it or contradict it; they never overrule
it.""",
    "margin": """\
The margin is the smallest difference that matters to you, in points. Declare
it before you look at the numbers: --margin 0.1, or margin = 0.1 in study.toml.

Without a margin two recipes can never be called equivalent, because no finite
number of seeds shows a difference of exactly zero. With one, "equivalent"
means that the 90 % interval of the difference lies inside plus or minus the
margin (two one-sided tests at 5 %).

How to choose it: what gain would make you change a recipe? On ImageNet, RSB's
100 seeds of ResNet-50 have a std of 0.10 points on val; gains below 0.1 points
are rarely worth a change.""",
    "p": """\
p is the share of cases in which the luck of the seeds alone would show a
difference at least as large as this one, if the recipes were equally good. It
is not the probability that the recipes are equal, and a small p does not make
a difference large.

It is Welch's t test: the two recipes may spread differently. "p adj." allows
for several comparisons that are read together, for example the other eval
sets.""",
    "interval": """\
The interval holds the true difference of the means in 95 of 100 studies like
this one (--level). It is about new seeds of the same recipes on the same test
images; see also: seedstudy explain images.

Where several comparisons are read together, the intervals shown are wide
enough to hold together, so that an interval excludes 0 exactly where its
adjusted p is below 5 %.""",
    "few-seeds": """\
Few seeds hide three things.

The spread. With 3 seeds the true std may be 0.5 to 6 times the one shown, with
5 seeds 0.6 to 2.9 times, with 10 seeds 0.7 to 1.8 times.
The shape. Ten seeds or fewer cannot show whether accuracies are skewed. If
both recipes are skewed in opposite directions, a 95 % interval holds the truth
in about 87 % of cases. Real seeds are usually close to normal, with some that
fail downwards.
A check without assumptions. Relabelling 3 + 3 seeds gives no p below 0.1, so
it cannot confirm any difference.

What helps: 5 seeds per recipe as a habit, 10 for a close call, and: seedstudy
power --difference 0.2 --sd 0.1.""",
    "skew": """\
The seeds of this recipe look skewed, or hold an outlier: often a training that
nearly failed. The mean then moves more than the interval says, and the
interval of the std is too short. Look at the seeds one by one (seedstudy fit,
or seedstudy summary --save seeds.png), and at the logs of the extreme ones. Do
not drop a seed because it is inconvenient; a recipe that sometimes fails has
that property.""",
    "borderline": """\
The p-value is below 5 %, but not by enough to hold for every shape that so few
seeds could hide: seeds skewed in opposite directions, or with very different
spreads. In simulations of such shapes the test errs in up to 11 % of cases
with equal numbers of seeds, and in up to 18 % with three times as many in one
recipe; below the p named in the caution it errs in at most 5 %. Train more
seeds before you rely on the claim.""",
    "one-run": """\
A single run has no spread of its own. It is compared as one more draw from a
recipe that spreads like the other one. If its recipe really spreads three
times as much, the p named in the caution applies. Two more seeds of it settle
the question.""",
    "looks": """\
Looking again after adding seeds, and stopping once something shows, is not
free: looks after 3, 5, 10 and 20 seeds, each at 5 %, find a difference between
equal recipes in 13 of 100 cases.

Either decide on the number of seeds first (seedstudy power), or let seedstudy
race add seeds: it spends the 5 % over all looks. Studies remember what was
compared when, and say so at the next look.""",
    "images": """\
The verdict is about new seeds of these recipes on these test images. New
images like them are a second source of luck: on ImageNet-val (50,000 images)
the standard error of a difference between two ResNets is about 0.14 points
from the images alone, on V2 (10,000 images) about 0.35.

seedstudy variance A B shows both, where predictions are stored. V2 beside val
is a third question: does the difference survive another draw of images,
collected anew?""",
    "paired": """\
--paired compares seed by seed. Use it where equal seeds really share something
that moves both recipes alike: the same data split, fold, or starting weights.
Seeds of two different recipes usually share nothing that matters, and pairing
then only loses degrees of freedom.""",
    "published": """\
"79.5±0.1 n=3" is read as mean, std over seeds (n - 1) and number of seeds. Two
things may be wrong with that. The ± may be a standard error: then p is the one
named in the caution. And the digits are rounded: the verdict uses the least
favourable numbers that would be printed like that.""",
}


def topic(name: str) -> str:
    """Return the text of one topic; StudyError where there is none of that name."""
    if name not in TOPICS:
        raise StudyError(f'nothing to explain about "{name}".{suggest(name, TOPICS)} Topics: {", ".join(TOPICS)}.')
    return TOPICS[name]
