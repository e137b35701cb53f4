"""What there is to train: recipes, networks, data sets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedstudy import data as datasets
from seedstudy import machine, terminal
from seedstudy.api.shared import path_of
from seedstudy.arguments import public
from seedstudy.errors import DataError, StudyError, suggest
from seedstudy.recipes import catalogue

if TYPE_CHECKING:
    import polars as pl

    from seedstudy.data.base import Catalogue, Check, DataInfo
    from seedstudy.data.resized import Copy
    from seedstudy.engines.watch import Say
    from seedstudy.recipes.reader import RecipeFile


@public
def about() -> tuple[str, ...]:
    """Return the versions of seedstudy and of what it trains with, where that is installed, and the device."""
    import platform
    from importlib import metadata

    import seedstudy

    lines = [f"seedstudy {seedstudy.__version__} (Python {platform.python_version()})"]
    found = []
    for name in ("torch", "timm"):
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    if not found:
        return (*lines, 'nothing to train with: pip install "seedstudy[train]"')
    device = machine.accelerator() or f"no GPU; {machine.cores()} CPU cores"
    return (*lines, ", ".join(found), f"device: {device}")


@public
def recipes() -> catalogue.Catalogue:
    """Return the recipes that come with seedstudy, and what keeps them from being trained as they are."""
    return catalogue.catalogue()


@public
def recipe(name: str, *, model: str | None = None, data: str | None = None) -> RecipeFile:
    """Return every value of a recipe, for a network and scaled to a data set where these are given."""
    return catalogue.describe(name, model, data=_data_facts(data))


@public
def recipe_differences(
    *names: str, model: str | None = None, data: str | None = None, everything: bool = False
) -> catalogue.Differences:
    """Return in which values recipes differ, or all values."""
    return catalogue.differences(names, model, data=_data_facts(data), everything=everything)


@public
def recipe_models(*names: str) -> catalogue.Networks:
    """Return the networks whose training the recipes' sources report; of all packaged recipes by default."""
    return catalogue.networks(names)


@public
def recipe_keys() -> catalogue.Keys:
    """Return every key of a recipe, what it may be and what it means."""
    return catalogue.keys()


@public
def schema(of: str) -> dict[str, Any]:
    """Return the JSON schema of a ``study`` file or a ``recipe`` file, for editors that complete and check."""
    from seedstudy.recipes.schema import recipe_schema
    from seedstudy.study.keys import study_schema

    schemas = {"study": study_schema, "recipe": recipe_schema}
    if of not in schemas:
        raise StudyError(f'no schema of "{of}": study or recipe.{suggest(of, schemas)}')
    return schemas[of]()


@public
def explain(*about: str) -> tuple[str, ...]:
    """Return the ideas behind the answers in plain words, one text per topic; without a topic, their list.

    Examples
    --------
    >>> import seedstudy as ss
    >>> print(ss.explain("paired")[0])
    --paired compares seed by seed. Use it where equal seeds really share something
    ...

    """
    from seedstudy.show.topics import TOPICS, topic

    return tuple(map(topic, about)) if about else ("Topics: " + ", ".join(TOPICS) + ".",)


@public
def example(name: str = "a2_a3") -> pl.DataFrame:
    """Return a small frame of real results that comes with seedstudy, to try the questions on.

    Parameters
    ----------
    name
        ``a2_a3`` (two recipes, 6 seeds each, CIFAR-10, val and real), ``a2_100_seeds`` (one recipe, 100 seeds, the
        embedded shapes, val, real and v2), ``cells`` (a design that crosses random streams, CIFAR-10), or the published
        tables ``rsb_table3`` (top-1 of 25 architectures by four recipes) and ``families`` (accuracy and cost of two).

    Examples
    --------
    >>> import seedstudy as ss
    >>> ss.compare(ss.example(), "a3", "a2", eval_sets="val")
    <worse: a2@resnet8 - a3@resnet8 on val = -2.10 [-3.28, -0.91], p = 0.0028, n 6+6>

    """
    import polars as pl

    from seedstudy.read.examples import EXAMPLES, example_file

    if name not in EXAMPLES:
        raise StudyError(f'no example "{name}".{suggest(name, EXAMPLES)}')
    return pl.read_csv(example_file(name).read_bytes())


@public
def data_sets() -> Catalogue:
    """Return the data sets that can be trained on."""
    return datasets.catalogue()


@public
def check_data(
    name: str, *, data_dir: str | Path | None = None, everything: bool = False, say: Say = terminal.say
) -> Check:
    """Say which parts of a data set are on disk, what is missing and how to get it.

    `everything`: decode every image, which takes minutes for a large data set, and name those that do not decode.
    """
    return datasets.check(name, path_of(data_dir), is_thorough=everything, progress=say)


@public
def resize_data(
    name: str,
    folder: str | Path,
    *,
    short_side: int = 320,
    quality: int | None = None,
    decoded: bool = False,
    data_dir: str | Path | None = None,
    say: Say = terminal.say,
) -> Copy:
    """Make a copy of a data set whose images are smaller, so that a training decodes a fraction of the pixels.

    The same call resumes after an interruption. Trials on the copy never pool with trials on the original.

    Parameters
    ----------
    folder
        Where the copy is made: a folder that does not exist yet.
    short_side
        Pixels. An image whose shorter side is not longer is copied as it is.
    quality
        Of the JPEG files, 1 to 95; by default 95.
    decoded
        Keep the images decoded, as PPM files: trainings decode nothing, and those on one machine share what it has
        read. The copy takes about six times as much room as one of JPEG files.

    """
    from seedstudy.data.resized import MOST_QUALITY, resized_copy

    if datasets.info(name).image_size is not None:
        raise DataError(f"{name}: its images are small and kept decoded; there is nothing to resize")
    if decoded and quality is not None:
        raise DataError(f"{name}: decoded images have no JPEG quality; leave out one of the two")
    prepared = datasets.prepare(name, data_dir=path_of(data_dir), cache_dir=machine.cache_dir(), progress=say)
    loaded = datasets.load(prepared)
    if loaded.holds_videos:
        raise DataError(f"{name}: smaller copies are made of images only, and it holds videos; resize them with FFmpeg")
    chosen = None if decoded else MOST_QUALITY if quality is None else quality
    return resized_copy(loaded, Path(folder), short_side=short_side, quality=chosen, progress=say)


def _data_facts(name: str | None) -> DataInfo | None:
    """Return what scaling must know; images of one's own are read for it."""
    if name is None:
        return None
    if datasets.name_of(name) in datasets.names():
        return datasets.info(name)
    prepared = datasets.prepare(name, cache_dir=machine.cache_dir(), progress=terminal.say)
    return datasets.facts_of(name, datasets.load(prepared))
