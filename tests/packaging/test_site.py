"""The documentation site: every page is reached, what is made from the code is current, links lead on."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import typer

import seedstudy as ss
from docs.site import catalogue, commands, gallery, hooks
from seedstudy.cli import app
from seedstudy.recipes.reader import packaged_names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SETTINGS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_menu() -> None:
    listed = re.findall(r"^ +- .*: ([\w/]+\.md)$", SETTINGS[SETTINGS.index("\nnav:") :], re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == {path.name for path in DOCS.glob("*.md")} | hooks.generated().keys()
    assert {path.parent.name for path in ROOT.glob("studies/*/README.md")} <= {
        Path(page).parent.name for page in listed
    }


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert re.search(r"^  font: false", SETTINGS, re.MULTILINE)
    for path in [*DOCS.glob("*.md"), DOCS / "site.css"]:
        assert not re.search(r"<(script|iframe|link)|@import|url\(", path.read_text(encoding="utf-8")), path.name
        assert not re.search(r"!\[[^]]*\]\(https?:", path.read_text(encoding="utf-8")), path.name


def test_the_catalogue_of_recipes_is_current() -> None:
    assert catalogue.PAGE.read_text(encoding="utf-8") == catalogue.page(), "python -m docs.site.catalogue rewrites it"
    for name in packaged_names():
        assert f"\n## {name}\n" in catalogue.page()


def test_the_reference_lists_every_command_and_option() -> None:
    page = commands.reference()
    for name, command in commands.visible(typer.main.get_command(app), "seedstudy"):
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert f"`{parameter.opts[-1]}" in section, f"{name} {parameter.opts}"
    assert "TyperOption" not in page


def test_the_page_on_python_names_everything_public() -> None:
    named = set(re.findall(r"^::: seedstudy\.(\w+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == set(ss.__all__) - {"__version__"}


def test_links_out_of_the_site_lead_to_the_repository() -> None:
    text = "[a](../studies/x/README.md) [b](../CONTRIBUTING.md) [c](faq.md#top) [d](https://x.org) [e](#here)"
    source = hooks.SOURCE
    assert hooks.links_on_site(text, "why.md") == (
        f"[a]({source}/studies/x/README.md) [b](contributing.md) [c](faq.md#top) [d](https://x.org) [e](#here)"
    )


def test_links_of_the_pages_from_the_root_stay_inside() -> None:
    page = hooks.links_on_site(hooks.generated()["contributing.md"], "contributing.md")
    assert "](architecture.md)" in page
    assert "](../" not in page


def test_studies_are_pages_with_their_pictures() -> None:
    text = "[a](../studies/rsb_seeds/README.md) [b](../studies/rsb_seeds/trials.csv)"
    source = hooks.SOURCE
    assert hooks.links_on_site(text, "why.md") == (
        f"[a](studies/rsb_seeds/index.md) [b]({source}/studies/rsb_seeds/trials.csv)"
    )
    page = "studies/resnet_rs_ladder/index.md"
    text = "[a](../../docs/findings.md) [b](../rsb_seeds/README.md) ![c](sizes.png) [d](../rsb_seeds/study.toml)"
    assert hooks.links_on_site(text, page) == (
        f"[a](../../findings.md) [b](../rsb_seeds/index.md) ![c](sizes.png) [d]({source}/studies/rsb_seeds/study.toml)"
    )
    assert "studies/resnet_rs_ladder/sizes.png" in hooks.studies()


def test_the_numbers_beside_the_picture_are_those_of_the_study() -> None:
    with (ROOT / "studies/mlperf_resnet50/groups.csv").open(encoding="utf-8") as file:
        group = next(row for row in csv.DictReader(file) if row["global_batch_size"] == "3264")
    for page in (ROOT / "README.md", DOCS / "index.md"):
        alt = re.search(r"!\[(.*?)\]", page.read_text(encoding="utf-8"))
        assert alt is not None
        for number in (group["n"], f"{float(group['min']):.2f}", f"{float(group['max']):.2f}"):
            assert number in alt[1], f"{page.name}: {number}"
    drawn = (DOCS / "img" / "mlperf.svg").read_text(encoding="utf-8")
    assert f"{group['n']} trainings of ResNet-50" in drawn


def test_every_command_of_the_gallery_has_its_picture() -> None:
    page = gallery.PAGE.read_text(encoding="utf-8")
    names = [arguments[arguments.index("--save") + 1] for arguments in gallery.commands()]
    assert len(names) >= 7
    assert re.findall(r"\(img/gallery/(.*?)\)", page) == names
    for name in names:
        drawn = (gallery.IMAGES / name).read_text(encoding="utf-8")
        assert 10_000 < len(drawn) < 200_000, f"{name}: python -m docs.site.gallery draws it again"
        assert "<text" in drawn, f"{name}: words stay words"
