"""The report: one page that needs nothing else, whatever names and reasons hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedstudy as ss
from seedstudy.errors import StudyError
from seedstudy.show.format import with_interval
from seedstudy.show.report.page import cautions_of, report_page, trial_sheet
from seedstudy.stats.result import decimals_of
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


def test_pictures_of_the_page_keep_every_digit_and_fit_a_phone_too(study: Path) -> None:
    near = [79.6912, 79.7004, 79.7096, 79.7021, 79.6987]
    answer = ss.report({"a": near, "b": [value + 0.0123 for value in near]})
    ss.save_report(answer, study / "r.html")
    text = (study / "r.html").read_text(encoding="utf-8")
    for width in ("page", "column"):
        svgs = "".join(re.findall(rf'<figure class="{width}">(.*?)</figure>', text, flags=re.DOTALL))
        shown = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svgs))
        assert answer.comparisons is not None
        for each in answer.comparisons:
            difference = each.interval_adjusted
            decimals = decimals_of(difference)
            assert decimals > 2
            words = with_interval(difference, decimals, sign="+", interval_sign="+").replace("-", "−")
            assert words in shown
        assert not re.search(r'\s(?:d|x|y|transform)="[^"]*\.\d{3}', svgs), "hundredths of a point are enough"


def test_cautions_name_what_they_are_about() -> None:
    rng = np.random.default_rng(0)
    arms = {name: list(78 + i + rng.normal(0, 0.1, 12)) for i, name in enumerate("abc")}
    arms["b"][3] -= 5
    cautions = cautions_of(ss.report(arms))
    assert ("", next(text for label, text in cautions if not label)) in cautions
    of_outlier = [label for label, text in cautions if "skewed or have outliers" in text]
    assert of_outlier == ["b, val"]


def test_the_trial_table_has_the_columns_that_trials_have(study: Path) -> None:
    names = [column.name for column in trial_sheet(ss.report("a3", "a2", eval_sets="val")).columns]
    assert names[:4] == ["recipe", "seed", "status", "val"]
    assert "minutes" in names
    assert "reason" not in names, "nothing failed"
    bare = trial_sheet(ss.report({"a": [78.0, 78.1], "b": [79.0, 79.1]}))
    assert [column.name for column in bare.columns] == ["recipe", "status", "val"]


def test_a_page_that_is_mailed_speaks_of_no_option(study: Path) -> None:
    ss.save_report(ss.report("a3", "a2"), study / "r.html")
    text = (study / "r.html").read_text(encoding="utf-8")
    visible = re.sub(r"<details>.*?</details>|<pre.*?</pre>|<svg.*?</svg>", "", text, flags=re.DOTALL)
    assert "--details" not in visible
    assert "no --margin" not in visible
    assert "no margin declared" in visible
    assert "Details: every verdict in words" in text
    assert "Hodges-Lehmann" in text
    assert "se images" in text, "what new images would add, too"
    assert re.search(r"Written on \d{4}-\d\d-\d\d by seedstudy", visible)


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


def test_a_report_says_what_compare_says(study: Path) -> None:
    from seedstudy.study.study import Study

    Store(study / "results", "main").plan(Study(recipes=("a2", "a3"), images="new", margin=0.5), [])
    compared, reported = ss.compare("a3", "a2"), ss.report("a3", "a2").comparisons
    assert reported is not None
    assert [answer.verdict_on for answer in reported] == ["new images"] * len(compared)
    assert reported.to_dict() == compared.to_dict()
    ss.save_report(ss.report("a3", "a2"), study / "r.html")
    text = (study / "r.html").read_text(encoding="utf-8")
    assert "About new seeds on new images like these" in text
    assert "unadjusted 95% intervals" in text, "the other reading is in the details"


def test_curves_show_every_recipe_where_there_are_too_many_trials(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seedstudy.decide import report as reports

    monkeypatch.setattr(reports, "_MOST_CURVES", 8)  # of 12 trials
    answer = ss.report("a3", "a2")
    assert answer.curves.group_by("label").agg(pl.col("seed").n_unique())["seed"].to_list() == [4, 4]
    ss.save_report(answer, study / "r.html")
    assert "Line: mean over the first n seeds" in (study / "r.html").read_text(encoding="utf-8")


def test_a_margin_that_the_rule_does_not_have_is_said_to_be_given(study: Path) -> None:
    from seedstudy.study.study import Study

    Store(study / "results", "main").plan(Study(recipes=("a2", "a3"), margin=0.5), [])
    for margin, is_said in ((None, False), (0.5, False), (1.5, True)):
        ss.save_report(ss.report("a3", "a2", margin=margin), study / "r.html")
        text = (study / "r.html").read_text(encoding="utf-8")
        assert ("The margin ±1.5 was given for this report" in text) is is_said


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


def test_text_reports_name_their_parts_and_latex_has_no_table_of_many_pages(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    answer = ss.report({name: list(78 + i + rng.normal(0, 0.1, 30)) for i, name in enumerate("abcde")})
    texts = {}
    for suffix in (".md", ".tex", ".typ"):
        ss.save_report(answer, tmp_path / f"r{suffix}")
        texts[suffix] = (tmp_path / f"r{suffix}").read_text(encoding="utf-8")
        assert len(re.findall(r"To cite: Differences on val .* adjusted for 4 comparisons", texts[suffix])) == 1
        assert "For a conference checklist: Error bars" in texts[suffix]
        assert "150 trials, all with a result." in texts[suffix]
    assert len(texts[".md"]) > 2 * len(texts[".tex"])
    (sentence,) = re.findall(r"^To cite: .*$", texts[".md"], flags=re.MULTILINE)
    assert len(sentence) < 420


def test_a_report_on_one_file_says_what_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ss.example("a2_a3").write_csv("runs.csv")
    assert ss.report("runs.csv", by="recipe").title == "a3 against a2: runs.csv"
    assert ss.report("runs.csv", by="recipe", title="Mine").title == "Mine"


def test_a_report_shows_what_is_compared_and_no_other_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [("a", "d1", 78), ("b", "d1", 79), ("a", "d2", 50)]
    lines = [f"{recipe},{data},{seed},{mean + seed / 10}" for recipe, data, mean in rows for seed in range(5)]
    Path("t.csv").write_text("\n".join(["recipe,data,seed,top1", *lines]))
    answer = ss.report("t.csv:a", "t.csv:b")
    assert {each.group.data for each in answer.summaries} == {"d1"}
    assert answer.comparisons is not None
    assert "results on d2 left out" in report_page(answer)


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
