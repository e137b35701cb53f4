"""Single images: which ones seeds disagree about, which ones differ between recipes, and how they look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from seedstudy import data as datasets
from seedstudy import machine, terminal
from seedstudy.api.shared import arms_of_call, path_of, source_of
from seedstudy.arguments import public
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.given import Given
    from seedstudy.decide.which_images import WhichImages
    from seedstudy.engines.watch import Say

SHEETS, TABLES = (".html", ".png"), (".csv", ".parquet")


@public
def images(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_set: str | None = None,
    fdr: float = 0.05,
    **arms: Given,
) -> WhichImages:
    """Say which images seeds disagree about, and which ones later recipes get right more or less often than the first.

    ``to_frame()`` has a row for each recipe and image; :func:`save_images` writes it, or a contact sheet.

    Parameters
    ----------
    what
        Recipes of a study, as for :func:`variance`: their trials have a prediction for each image.
    eval_set
        None: val, or else the first.
    fdr
        Share of the images said to differ that may be there by chance, expected.

    """
    from seedstudy.decide.select import on_one_eval_set, select_arms
    from seedstudy.decide.which_images import which_images

    if not 0.0 < fdr < 0.5:
        raise StudyError(f"--fdr {fdr:g}: must lie between 0 and 0.5; write 0.05 for 5 %.")
    source = source_of(locals())
    asked = arms_of_call(what, arms, images, source)
    if not asked:
        raise StudyError("images needs a recipe, or A (the baseline) and B: `seedstudy images a3 a2`.")
    groups = [on_one_eval_set(arm, source) for arm in select_arms(asked, source)]
    return which_images(groups, source, fdr=fdr)


@public
def save_images(
    answer: WhichImages,
    path: str | Path,
    *,
    data: str | None = None,
    data_dir: str | Path | None = None,
    most: int = 24,
    say: Say = terminal.say,
) -> None:
    """Write single images: as a contact sheet (.html or .png), or as the frame (.csv or .parquet).

    Parameters
    ----------
    data, data_dir
        Where the images lie, as for :func:`run`; None: the data set of the trials, by its name.
    most
        Images of each kind on a contact sheet.

    Raises
    ------
    StudyError
        Another suffix, or a file that cannot be written.
    DataError
        The images cannot be found.

    """
    from seedstudy.files import write_atomically

    path = Path(path)
    check_images(path)
    kind = path.suffix.lower()
    content = _sheet(answer, kind, data, path_of(data_dir), most, say) if kind in SHEETS else _table(answer, kind)
    try:
        write_atomically(path, content, is_durable=False)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror}); choose another place.") from error


def check_images(path: Path) -> None:
    """Refuse a path before anything is computed; StudyError."""
    if path.suffix.lower() not in SHEETS + TABLES:
        raise StudyError(
            f"{path}: a contact sheet's name ends in .html or .png, that of a table of all images in .csv or .parquet."
        )
    if not path.absolute().parent.is_dir():
        raise StudyError(f"{path}: no such folder; make it, or choose another place.")


def _table(answer: WhichImages, kind: str) -> bytes:
    import polars as pl

    from seedstudy.store.schema import to_parquet

    frame = answer.frame
    if kind == ".parquet":
        return to_parquet(frame)
    texts = frame.with_columns(pl.col("labels").cast(pl.List(pl.String())).list.join(" "))
    return texts.write_csv().encode()


def _sheet(
    answer: WhichImages, kind: str, data: str | None, data_dir: Path | None, most: int, say: Callable[[str], None]
) -> bytes:
    import io

    from seedstudy.data.base import OTHER_SIZE
    from seedstudy.data.pictures import pictures_of
    from seedstudy.show.contact import contact_figure, contact_page, ids_shown

    if most < 1:
        raise StudyError(f"--show {most}: a contact sheet shows at least one image of each kind.")
    name = data or answer.data
    if name is None:
        raise StudyError("the trials do not say which data set they were tested on: name it with -d.")
    if datasets.name_of(name) != answer.data:
        raise StudyError(f'"{name}" is not the data set of these trials, {answer.data}.')
    prepared = datasets.prepare(name, data_dir=data_dir, cache_dir=machine.cache_dir(), progress=say)
    loaded = datasets.load(prepared)
    pictures = pictures_of(loaded, answer.eval_set.partition(OTHER_SIZE)[0], ids_shown(answer, most))
    if kind == ".html":
        return contact_page(answer, pictures, loaded.classes, most=most).encode()
    from seedstudy.show.plots.canvas import styled

    buffer = io.BytesIO()
    with styled():
        contact_figure(answer, pictures, loaded.classes, most=most).savefig(buffer, format="png", dpi=150, metadata={})
    return buffer.getvalue()
