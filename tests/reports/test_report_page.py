"""A crash report as a page and as text: whatever it holds stays text, and nothing is loaded or run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec
import pytest
from support.died import AT, figures, report

from labplatform import messages as m
from labplatform.reports import page
from labplatform.reports.text import WIDTH
from labplatform.reports.text import text as as_text

HOSTILE = "</pre></style><script>alert(1)</script><img src=x onerror='alert(1)'>\x1b[31m\u202e\x00\"&"
MAY_BE = {
    *("article", "b", "details", "div", "footer", "header", "i", "img", "li", "p", "pre", "section"),
    *("small", "span", "style", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul", "svg", "path", "rect"),
    *("html", "head", "meta", "title", "body"),
}
VOID = {"img", "meta"}


class Checked(HTMLParser):
    """Reads a page, and finds what has no place in one: a tag or attribute of another kind, or one left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)
        assert tag in MAY_BE, tag
        for name, value in attributes:
            assert not name.startswith("on"), name
            if name in ("src", "href"):
                assert value.startswith("data:image/"), value
            if name == "style":
                assert re.fullmatch(r"[-\w:;#.%()]*", value), value
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words += data


def spoiled(value):
    """The same structure with hostile text in every place where text can be."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, msgspec.Struct):
        changes = {name: spoiled(getattr(value, name)) for name in value.__struct_fields__}
        for name, allowed in (("level", "error"), ("felt", "ended"), ("process", "renderer"), ("isolation", "process")):
            if name in changes:
                changes[name] = allowed
        return type(value)(**changes)
    if isinstance(value, tuple):
        return tuple(map(spoiled, value))
    if isinstance(value, dict):
        return {name: spoiled(one) for name, one in value.items()}
    return value


def test_the_answer_comes_first():
    words = Checked(page.page(report())).words
    order = [
        "Tickers was ended because its memory reached its limit of 350 MB.",
        "It grew by",
        "memory-limit",
        "Its last minute",
        "Last messages",
        "What the page said last",
        "What the machine said",
        "Its last picture",
        "Restored",
        "Lost",
    ]
    places = [words.index(one) for one in order]
    assert places == sorted(places)
    for said in ("0.8 s, as 4831", "kernel, for the limit", "history is long", "oom_kill: 1", "2.1 s before the end"):
        assert said in words


@pytest.mark.parametrize("make", [page.page, page.document])
def test_hostile_text_stays_text(make):
    hostile = spoiled(report(traceback="Traceback\nx", looks=(m.ReportedLook(role="host", pid=1, doing="x"),)))
    html = make(hostile)
    found = Checked(html)
    assert "script" not in found.found and found.found.count("style") == 1
    assert "<script>alert(1)</script>" in found.words
    assert not any(character in html for character in "\x1b\u202e\x00")
    plain = as_text(hostile)
    assert all(character.isprintable() or character == "\n" for character in plain)


def test_nothing_is_loaded_from_elsewhere():
    for html in (page.page(report()), page.document(report())):
        assert "http://" not in html and "https://" not in html and "@import" not in html
        assert re.findall(r"url\(", html) == []
    assert "default-src 'none'" in page.document(report())


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(m.CrashReport(brief=report().brief), id="in brief"),
        pytest.param(report(figures=figures([None] * 5)), id="no figures"),
        pytest.param(report(figures=figures([0.0] * 5), seen=None), id="zeros"),
        pytest.param(report(figures=figures([100.0] * 700, step=0.1)), id="many rows"),
        pytest.param(report(head={"color": "red;background:url(x)", "title": ""}, picture=None), id="no colour"),
        pytest.param(
            report(head={"place": "", "reason": m.SUPERVISOR_LOST, "color": None}, apps=("a", "b")), id="the platform"
        ),
        pytest.param(report(head={"back_after": None, "gave_up": "6 ends within 10 s; 5 are allowed"}), id="not back"),
        pytest.param(report(head={"uptime": None, "reason": "launch-failed"}, ready_at=None), id="never ready"),
        pytest.param(report(stderr="x" * 20_000, traceback="Fatal Python error\n" + "y\n" * 500), id="much"),
    ],
)
def test_less_or_more_evidence_makes_a_page_too(one):
    Checked(page.document(one))
    assert max(map(len, as_text(one).splitlines())) <= WIDTH


def test_several_in_one_notebook_share_a_style_and_no_ids():
    both = page.page(report()) + page.page(report(head={"number": 4}))
    assert " id=" not in both
    names = set(re.findall(r'<article class="(labplatform-report-\w+)"', both))
    assert len(names) == 1
    # Every rule is about the report alone.
    sheet = re.search(r"<style>(.*?)</style>", both).group(1)
    bare = re.sub(r"@(media|container)[^{]*\{", "", sheet)
    for selectors in re.findall(r"([^{}]+)\{[^{}]*\}", bare):
        for selector in selectors.split(","):
            assert (
                names & {selector.strip().split(".")[-1].split(" ")[0].split(":")[0]} or names.copy().pop() in selector
            )


def test_a_line_is_never_drawn_across_a_death():
    columns = figures([100.0] * 20).columns
    after = tuple(AT + 1 + second for second in range(5))
    joined = {name: (*column, *column[:5]) for name, column in columns.items()}
    joined |= {"at": (*columns["at"], *after), "incarnation": (*columns["incarnation"], *(3.0,) * 5)}
    html = page.page(report(figures=m.Recalled(columns=joined), seen=None, head={"reason": "crashed"}))
    memory = html[html.index('class="row memory"') : html.index('class="row cpu"')]
    assert memory.count('class="all"') == memory.count('class="back"') == 1
    end = float(re.search(r'class="end" d="M([\d.]+)', memory).group(1))
    drawn = re.search(r'class="all" d="M([^"]+)"', memory).group(1)
    assert max(float(point.split()[0]) for point in drawn.split("L")) <= end


def test_the_text_says_the_same():
    said = as_text(report())
    for words in (
        "because its memory reached its limit of 350 MB.",
        "Nearly all",
        "Ended by",
        "ViewNews",
        "history is",
    ):
        assert words in said
