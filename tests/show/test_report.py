"""The report: one page that needs nothing else, whatever names and reasons hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import seedstudy as ss
from seedstudy.errors import StudyError
from seedstudy.store.store import Store

VOID = {"meta", "link", "br", "path", "use", "rect", "circle", "stop"}


class Page(HTMLParser):
    """Checks that tags match, and keeps what a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        of = dict(attrs)
        self.ids += [of["id"] or ""] if "id" in of else []
        for name in ("src", "href", "xlink:href"):
            if name in of and not (of[name] or "").startswith("#"):
                self.loads.append(f"{tag} {of[name]}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def study(write_study: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "results", n_seeds=6, a3=0.75, a2=0.8)
    return tmp_path


def test_the_page_has_the_verdict_first_and_loads_nothing(study: Path) -> None:
    answer = ss.report("a3", "a2", margin=0.5)
    ss.save_report(answer, study / "r.html")
    text = (study / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.scripts == 1
    assert page.loads == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"url\((?!#)|@import", text)
    word = answer.comparisons[0].verdict.word.upper()
    assert 0 < text.index(word) < text.index("<svg") < text.index("Every trial")
    assert text.count("<svg") >= 2
    assert len(text) < 3_000_000
    body = text[text.index('id="every-trial"') :]
    assert body[: body.index("</table>")].count("<tr>") == 1 + 12


def test_names_and_reasons_stay_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "<script>alert(1)</script>"
    answer = ss.report({name: [78.0, 78.1, 78.3], "b & c": [79.0, 79.1, 79.4]}, title=f"{name} wins")
    ss.save_report(answer, "r.html")
    text = Path("r.html").read_text(encoding="utf-8")
    assert Page(text).scripts == 1
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "Made in Python from numbers in memory." in text


def test_the_command_repeats_the_report(study: Path) -> None:
    answer = ss.report("a3", "a2", eval_sets="val", margin=0.5, alpha=0.01, model="resnet8_nano", title="Is it?")
    assert answer.command == (
        "seedstudy report a3 a2 --model resnet8_nano --eval val --margin 0.5 --alpha 0.01 --title 'Is it?' "
        "-o report.html"
    )


def test_a_study_alone_takes_its_declared_baseline(study: Path) -> None:
    from seedstudy.study.study import Study

    Store(study / "results", "main").plan(Study(recipes=("a2", "a3"), baseline="a3", question="Is it?"), [])
    answer = ss.report()
    assert answer.comparisons is not None
    assert answer.comparisons.pairs[0][0].startswith("a3")
    ss.save_report(answer, "r.md")
    assert Path("r.md").read_text(encoding="utf-8").startswith("# Study main\n")


def test_failures_are_listed_with_their_reason(study: Path) -> None:
    trial_id = Store(study / "results", "main").trial_ids()[0]
    folder = study / "results/main/trials" / trial_id
    (folder / "trial.json").unlink()
    Store(study / "results", "main").record_failure(trial_id, "the loss is <nan>", "Traceback")
    answer = ss.report("a3", "a2")
    (failed,) = [line for line in answer.trials if line.status == "failed"]
    assert failed.reason == "the loss is <nan>"
    ss.save_report(answer, "r.html")
    assert "the loss is &lt;nan&gt;" in Path("r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "words"), [("r.doc", "ends in .html, .md"), ("no/such/r.html", "no such folder")])
def test_a_wrong_path_is_refused_before_anything_is_read(name: str, words: str) -> None:
    from seedstudy.api.reporting import check_report

    with pytest.raises(StudyError, match=words):
        check_report(Path(name))


def test_the_model_card_is_yaml_with_every_recipe_and_eval_set(study: Path) -> None:
    yaml = pytest.importorskip("yaml")
    from seedstudy.show.report.card import model_index

    answer = ss.summary("a3", "a2", study="main")
    card = yaml.safe_load(model_index(answer))["model-index"]
    assert [entry["name"] for entry in card] == ["a3@resnet8_nano", "a2@resnet8_nano"]
    first = card[0]["results"][0]
    assert first["dataset"] == {"name": "tiny", "type": "tiny", "split": "val"}
    (metric,) = first["metrics"]
    assert metric["type"] == "accuracy"
    assert metric["value"] == pytest.approx(answer[0].description.mean.value, abs=0.01)
    assert metric["name"].startswith("top-1 in %, mean of 6 seeds, std ")
    ss.save_report(ss.report("a3", "a2"), study / "r.md")
    assert "model-index:" in (study / "r.md").read_text(encoding="utf-8")
    odd = yaml.safe_load(model_index(ss.summary(**{'a "b": c': [78.0, 78.1, 78.3]})))
    assert odd["model-index"][0]["name"] == 'a "b": c'
