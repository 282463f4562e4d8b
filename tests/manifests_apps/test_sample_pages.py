"""The sample pages in Chromium, fed by market-data's own code: what they show, to whom, and that they stay honest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect
from sample_stage import PAGES, Stage

Open = Callable[..., Page]
quiet = pytest.mark.parametrize("stage", ["quiet"], indirect=True)
"""market-data has not said anything yet."""
one_here = pytest.mark.parametrize("app", [PAGES[0], *(pytest.param(app, marks=pytest.mark.long) for app in PAGES[1:])])
"""What the pages have in common in their code: one each time, all of them for long."""

FIRST_TEXT = {"ticker-list": "#row-AAPL .last", "ticker-details": "#last", "news-feed": "#items li h2"}

TEXTS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  function over(colors) {
    paint.fillStyle = "#fff";
    paint.fillRect(0, 0, 1, 1);
    for (const color of colors) { paint.fillStyle = color; paint.fillRect(0, 0, 1, 1); }
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  }
  function luminance(color) {
    const [r, g, b] = color.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest(".unseen")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    const style = getComputedStyle(element);
    const grounds = [];
    for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [luminance(over([...grounds, ink])), luminance(over(grounds))];
    found.push({
      text: node.data.trim(), left: box.left, right: box.right, size: parseFloat(style.fontSize),
      contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05),
    });
  }
  return found;
}"""


def ready(page: Page, app: str) -> Page:
    """Wait until the page shows the replay."""
    expect(page.locator("#when")).to_contain_text(re.compile(r"replay, \d+ \w{3} 20\d\d"))
    expect(page.locator(FIRST_TEXT[app]).first).to_have_text(re.compile(r"\w"))
    return page


def angle(page: Page) -> float:
    """Degrees at which the second hand stands."""
    return float(re.search(r"rotate\(([\d.]+)deg\)", page.locator(".hand").evaluate("e => e.style.transform"))[1])


@pytest.mark.parametrize("app", PAGES)
def test_words_can_be_read(open_page: Open, stage: Stage, app: str) -> None:
    page = ready(open_page(app), app)

    def texts_in_both() -> list[dict[str, Any]]:
        found = []
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            found += page.evaluate(TEXTS)
        return found

    texts = texts_in_both()
    stage.stop_service()
    page.wait_for_selector("body[data-silent]")
    texts += texts_in_both()
    assert len(texts) > 40
    assert [text for text in texts if text["contrast"] < 4.5] == []
    assert [text for text in texts if text["size"] < 12] == []


def test_dark_and_light_differ(open_page: Open) -> None:
    def ground(scheme: str) -> str:
        return open_page("ticker-list", scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")

    assert (ground("dark"), ground("light")) == ("rgb(17, 19, 21)", "rgb(255, 255, 255)")


@pytest.mark.parametrize("width", [320, 480, 900])
@pytest.mark.parametrize("app", PAGES)
def test_it_fits(open_page: Open, app: str, width: int) -> None:
    page = ready(open_page(app, width=width), app)
    if app == "ticker-list":
        page.wait_for_function("document.querySelector('.spark path').getAttribute('d')")
    outside = [text for text in page.evaluate(TEXTS) if text["left"] < 0 or text["right"] > width]
    assert outside == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    clipped = page.evaluate(
        """() => [...document.querySelectorAll("main, header, footer, .pick, .range, li, dl div, dd, .big")]
          .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
          .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert clipped == []
    if app == "ticker-details":
        expect(page.locator("#chart text").last).to_have_text(re.compile("20"))
        cut = page.evaluate(
            """() => {
              const frame = document.querySelector("#chart").getBoundingClientRect();
              const boxes = [...document.querySelectorAll("#chart svg *")].map((e) => e.getBoundingClientRect());
              return boxes.filter((b) => b.width && (b.bottom > frame.bottom + 1 || b.right > frame.right + 1)).length;
            }"""
        )
        assert cut == 0, "the chart is cut off"
    if width == 480 and app != "news-feed":
        assert page.locator("main").evaluate("e => e.scrollHeight <= e.clientHeight"), "the window needs scrolling"


@pytest.mark.parametrize("app", PAGES)
def test_targets_are_large_enough(open_page: Open, app: str) -> None:
    page = ready(open_page(app, width=320), app)
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("input, button, a, select, [role=option]")]
          .map((e) => e.getBoundingClientRect()).map((box) => [box.width, box.height])"""
    )
    assert sizes
    assert all(width >= 24 and height >= 24 for width, height in sizes), sizes


@pytest.mark.parametrize("app", PAGES)
def test_it_says_who_it_is_and_how_fast_prices_come(open_page: Open, app: str) -> None:
    page = ready(open_page(app), app)
    expect(page.locator("#where")).to_have_text("PID 4711 · own process")
    if app == "news-feed":
        expect(page.locator("#pace")).to_have_text(re.compile(r"^\d+ of 65 headlines$"))
        expect(page.locator("#when")).to_contain_text("sample headlines")
    else:
        expect(page.locator("#pace")).to_have_text(re.compile(r"^[34] updates each second$"))


@pytest.mark.parametrize("app", PAGES)
def test_it_says_so_when_prices_stop_and_when_they_are_back(open_page: Open, stage: Stage, app: str) -> None:
    page = ready(open_page(app), app)
    notice = page.locator("#notice")
    assert notice.get_attribute("role") == "status"
    expect(notice).to_be_empty()
    stage.stop_service()
    expect(notice).to_have_text("No prices: is market-data running?")
    expect(page.locator("#when")).to_contain_text("replay stopped at")
    expect(page.locator("#pace")).to_have_text(re.compile(r"^last price ([3-9]|\d\d) s ago$"))
    stage.start_service()
    expect(notice).to_be_empty()
    if app != "news-feed":
        expect(page.locator("#pace")).to_have_text("counting updates")
        expect(page.locator("#pace")).to_have_text(re.compile(r"^[34] updates each second$"))
    ready(page, app)


@one_here
def test_it_says_so_when_the_platform_is_lost(open_page: Open, stage: Stage, app: str) -> None:
    slot = stage.launch(app)
    page = ready(open_page(slot), app)
    stage.lose(slot)
    expect(page.locator("#notice")).to_have_text("No prices: the connection to the platform is lost")


@quiet
def test_it_says_so_when_no_price_ever_came(open_page: Open) -> None:
    page = open_page("news-feed")
    expect(page.locator("#notice")).to_have_text("No prices: is market-data running?")
    expect(page.locator("#pace")).to_have_text("no price so far")


def test_without_a_platform_it_says_that(open_page: Open) -> None:
    page = open_page("ticker-list", agent=False)
    expect(page.locator("#notice")).to_have_text("No prices: labplatform did not open this page")
    expect(page.locator("lab-channels")).to_have_text(re.compile("no platform"))
    page.locator("#row-IBM").click()
    page.get_by_role("button", name="News").click()
    expect(page.locator("#refused")).to_have_text("No news of IBM: labplatform did not open this page")


def test_a_refused_channel_is_shown(open_page: Open) -> None:
    refuse = 'fdc3.getOrCreateChannel = () => Promise.reject(new Error("AccessDenied"));'
    page = open_page("ticker-list", before=refuse)
    expect(page.locator("#notice")).to_contain_text("the channel did not open (AccessDenied); restart this app")


@pytest.mark.parametrize("app", PAGES)
def test_who_joins_late_is_full_at_once(open_page: Open, stage: Stage, app: str) -> None:
    """The last context of each type is enough, even if no further one comes."""
    ready(open_page(app), app)
    stage.stop_service()
    page = open_page(app)
    expect(page.locator(FIRST_TEXT[app]).first).to_have_text(re.compile(r"\w"))
    if app != "news-feed":
        page.wait_for_function("document.querySelector('.spark path, .chart .line').getAttribute('d').length > 500")


def test_prices_carry_a_sign_and_weight_but_no_colour(open_page: Open) -> None:
    page = ready(open_page("ticker-list"), "ticker-list")
    seen = {}
    for _ in range(20):
        for kind, color, weight, text in page.evaluate(
            """() => [...document.querySelectorAll(".change")].map((e) =>
              [e.className, getComputedStyle(e).color, getComputedStyle(e).fontWeight, e.innerText])"""
        ):
            seen[kind.split()[-1]] = (color, weight, text[0])
        if {"rose", "fell"} <= set(seen):
            break
        shown = page.locator("#when").inner_text()
        expect(page.locator("#when")).not_to_have_text(shown)
    assert seen["rose"] == ("rgb(236, 239, 242)", "650", "▲")
    assert seen["fell"] == ("rgb(141, 151, 161)", "400", "▼")


# --- keyboard ---------------------------------------------------------------------------------------------------------


def test_rows_are_chosen_by_keyboard(open_page: Open) -> None:
    page = ready(open_page("ticker-list"), "ticker-list")
    rows = page.get_by_role("listbox", name="Instruments").get_by_role("option")
    expect(rows).to_have_count(5)
    assert [rows.nth(at).get_attribute("tabindex") for at in range(5)] == ["0", "-1", "-1", "-1", "-1"]
    expect(page.get_by_role("radio", name="Channel 1, red")).to_be_checked()
    page.keyboard.press("Tab")  # the user channel
    page.keyboard.press("Tab")
    for key, ticker in [
        ("ArrowDown", "FB"),
        ("ArrowDown", "GOOG"),
        ("ArrowUp", "FB"),
        ("End", "MSFT"),
        ("ArrowDown", "MSFT"),
        ("Home", "AAPL"),
        ("i", "IBM"),
    ]:
        page.keyboard.press(key)
        chosen = page.locator('[aria-selected="true"]')
        expect(chosen).to_have_id(f"row-{ticker}")
        expect(chosen).to_be_focused()
        expect(chosen).to_have_attribute("tabindex", "0")
        expect(page.locator("#chosen-name")).to_have_text(ticker)
    outline = page.locator("#row-IBM").evaluate("e => getComputedStyle(e).outline")
    assert "2px" in outline and "solid" in outline
    expect(page.locator("#row-IBM")).to_have_accessible_name(re.compile(r"^IBM.* (up|down|unchanged) "))


def test_rows_are_chosen_by_mouse(open_page: Open) -> None:
    page = ready(open_page("ticker-list"), "ticker-list")
    page.locator("#row-GOOG").click()
    expect(page.locator("#row-GOOG")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#chosen-company")).to_have_text("Google")


def test_details_begin_with_the_address_and_follow_the_keyboard(open_page: Open) -> None:
    page = ready(open_page("ticker-details", after="#MSFT"), "ticker-details")
    expect(page.locator("#name")).to_have_text("MSFT")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(r"^MSFT: closes of 120 trading days"))
    page.get_by_role("radio", name="MSFT").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#name")).to_have_text("IBM")
    expect(page.locator("#when")).to_contain_text("IBM · replay")
    page.evaluate("location.hash = '#goog'")
    expect(page.get_by_role("radio", name="GOOG")).to_be_checked()
    page.evaluate("location.hash = '#%E0%A4'")
    expect(page.locator("#name")).to_have_text("GOOG")


def test_news_come_newest_first_and_can_be_filtered(open_page: Open) -> None:
    page = ready(open_page("news-feed"), "news-feed")
    dates = page.locator("#items time").evaluate_all("all => all.map((e) => e.dateTime)")
    assert dates == sorted(dates, reverse=True)
    before = len(dates)
    page.wait_for_function(f"document.querySelectorAll('#items li').length > {before}")
    page.get_by_role("radio", name="All").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="FB")).to_be_checked()
    shown = page.locator("#items li:visible")
    about = shown.evaluate_all("all => all.map((e) => e.dataset.tickers)")
    assert 0 < len(about) < before
    assert all("FB" in tickers.split() for tickers in about)


# --- the replay's edges -----------------------------------------------------------------------------------------------


def test_a_new_round_starts_everything_afresh(open_page: Open, stage: Stage) -> None:
    pages = {app: ready(open_page(app), app) for app in PAGES}
    pages["ticker-details"].get_by_role("radio", name="FB", exact=True).check()
    stage.stop_service()
    stage.start_service(start_day="2013-02-28", rate=1)
    for page in pages.values():
        expect(page.locator("#when")).to_contain_text("Sep 2010")
    expect(pages["ticker-list"].locator("#row-FB")).to_contain_text("not listed")
    expect(pages["ticker-list"].locator("#row-FB")).to_contain_text("until May 2012")
    expect(pages["ticker-details"].locator("#empty")).to_have_text("Facebook first trades on 18 May 2012")
    dates = pages["news-feed"].locator("#items time").evaluate_all("all => all.map((e) => e.dateTime)")
    assert dates and max(dates) < "2010-11"


def test_a_line_never_joins_days_that_are_not_neighbours(open_page: Open) -> None:
    page = open_page("ticker-list")
    kept = page.evaluate(
        """async () => {
          const { History } = await import("./_lab/prices.js");
          const history = new History();
          const tick = (tick, date, last) => ({ tick, date, quotes: [{ ticker: "IBM", last, volume: 1 }] });
          history.append(tick(3, "2012-01-04", 9));
          const empty = history.of("IBM").close.length;
          history.replace({
            tick: 4, dates: ["2012-01-03", "2012-01-04"], series: { IBM: { close: [1, 2], volume: [1, 1] } },
          });
          history.append(tick(4, "2012-01-04", 2));
          history.append(tick(5, "2012-01-05", 3));
          history.append(tick(7, "2012-01-09", 5));
          return [empty, history.dates, history.of("IBM").close];
        }"""
    )
    assert kept == [0, ["2012-01-04", "2012-01-05"], [2, 3]]


# --- alive or hung ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app", PAGES)
def test_the_hand_shows_the_second(open_page: Open, stage: Stage, app: str) -> None:
    """With prices and without: the hand follows the clock, at most 0.6 s behind it."""
    page = ready(open_page(app), app)
    for _ in range(2):
        before = angle(page)
        page.wait_for_function(f"!document.querySelector('.hand').style.transform.includes('({before}')")
        behind = page.evaluate(
            """() => {
              const shown = parseFloat(document.querySelector(".hand").style.transform.slice(7));
              return ((Date.now() / 1000 % 60) * 6 - shown + 360) % 360;
            }"""
        )
        assert behind <= 0.6 * 6 or behind > 359.5
        stage.stop_service()


def frames_while_blocked(page: Page, cdp: CDPSession) -> int:
    """Block the page's main thread for 1.5 s; how many new pictures it shows from 0.3 s on."""
    stamps: list[float] = []

    def frame(event: dict[str, Any]) -> None:
        stamps.append(event["metadata"]["timestamp"])
        cdp.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    cdp.on("Page.screencastFrame", frame)
    cdp.send("Page.startScreencast", {"format": "jpeg", "quality": 20})
    page.wait_for_function("document.querySelector('.hand').style.transform")
    page.evaluate(
        """() => setTimeout(() => {
          const begin = Date.now();
          while (Date.now() - begin < 1500);
          window.blocked = [begin / 1000, Date.now() / 1000];
        }, 100)"""
    )
    page.wait_for_function("window.blocked", polling=100)
    begin, end = page.evaluate("window.blocked")
    before = angle(page)
    page.wait_for_function(f"!document.querySelector('.hand').style.transform.includes('({before}')")
    cdp.send("Page.stopScreencast")
    cdp.remove_listener("Page.screencastFrame", frame)
    assert any(stamp > end for stamp in stamps), "no picture came after the block: the test cannot see"
    return sum(begin + 0.3 < stamp < end for stamp in stamps)


@one_here
def test_the_hand_stands_still_in_a_page_that_hangs(open_page: Open, app: str) -> None:
    page = ready(open_page(app), app)
    assert frames_while_blocked(page, page.context.new_cdp_session(page)) == 0


def test_an_animated_hand_would_have_been_seen(open_page: Open) -> None:
    """The proof above can fail: a hand turned by the compositor goes on while the page hangs."""
    page = ready(open_page("ticker-list"), "ticker-list")
    page.add_style_tag(
        content="@keyframes turn { from { transform: rotate(0deg) } to { transform: rotate(360deg) } }"
        ".hand { animation: turn 6s linear infinite }"
    )
    assert frames_while_blocked(page, page.context.new_cdp_session(page)) > 3


@quiet
@one_here
def test_an_idle_page_does_little(open_page: Open, app: str) -> None:
    """Without prices: no layout but for what the page says of them, four style updates a second at most."""
    page = open_page(app)
    expect(page.locator("lab-channels .said")).to_have_text(re.compile(r"\w"))
    expect(page.locator("#pace")).to_have_text(re.compile(r"\w"))
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")

    def counts() -> dict[str, float]:
        return {entry["name"]: entry["value"] for entry in cdp.send("Performance.getMetrics")["metrics"]}

    before = counts()
    page.wait_for_selector("body[data-silent]")
    after = counts()
    seconds = after["Timestamp"] - before["Timestamp"]
    assert seconds > 1
    assert after["LayoutCount"] - before["LayoutCount"] <= 3
    assert after["RecalcStyleCount"] - before["RecalcStyleCount"] <= 4 * seconds + 3
    assert page.evaluate("document.getAnimations().length") == 0
