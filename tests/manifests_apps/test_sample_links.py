"""The sample pages in Chromium, linked by FDC3: user channels, the picker, and intents that start what does not run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sample_stage import PAGES, Stage

Open = Callable[..., Page]
COLORS = ["red", "orange", "yellow", "green", "cyan", "blue", "magenta", "purple"]


def shows(page: Page, ticker: str) -> None:
    """The page shows this instrument, whichever page it is."""
    for place in ('[role="option"][aria-selected="true"] .ticker', "#name", "#pick input:checked + span"):
        if page.locator(place).count():
            expect(page.locator(place).first).to_have_text(ticker)


def said(page: Page, first: str, second: str = "") -> None:
    """What stands beside the channels, in its two lines."""
    expect(page.locator("lab-channels .said b")).to_have_text(first)
    expect(page.locator("lab-channels .said small")).to_have_text(second)


def on(page: Page, channel: str) -> None:
    """Which channel the picker shows."""
    expect(page.locator("lab-channels input:checked")).to_have_attribute("aria-label", channel)


@pytest.fixture
def three(open_page: Open) -> list[Page]:
    """ticker-list, ticker-details and news-feed, each on the channel it begins on."""
    pages = [open_page(app) for app in PAGES]
    for page, word in zip(pages, ("sending", "following", "following"), strict=True):
        on(page, "Channel 1, red")
        said(page, word)
    return pages


# --- the channel ------------------------------------------------------------------------------------------------------


def test_a_choice_in_one_page_moves_the_two_others(three: list[Page]) -> None:
    tickers, details, news = three
    for page, ticker in ((details, "AAPL"), (news, "All"), (tickers, "AAPL")):
        shows(page, ticker)
    tickers.locator("#row-MSFT").click()
    for page in three:
        shows(page, "MSFT")
    said(tickers, "sent MSFT")
    said(details, "MSFT", "from ticker-list")
    said(news, "MSFT", "from ticker-list")
    expect(news.locator("#items li:visible").first).to_contain_text("MSFT")
    tickers.keyboard.press("ArrowUp")
    for page in three:
        shows(page, "IBM")
    # A look at another one in a page that follows is that page's own affair.
    details.get_by_role("radio", name="FB", exact=True).check()
    shows(details, "FB")
    tickers.keyboard.press("g")
    for page in three:
        shows(page, "GOOG")


def test_pages_on_other_channels_are_left_alone(three: list[Page]) -> None:
    tickers, details, news = three
    details.get_by_role("radio", name="Channel 4, green").check()
    said(details, "following")
    news.get_by_role("radio", name="No channel").check()
    said(news, "on its own")
    tickers.locator("#row-GOOG").click()
    said(tickers, "sent GOOG")
    tickers.get_by_role("radio", name="Channel 4, green").check()
    tickers.locator("#row-IBM").click()
    # Had it heard of the other channels, it would have heard of GOOG before.
    shows(details, "IBM")
    shows(news, "All")
    # Who joins a channel hears at once what it has.
    news.get_by_role("radio", name="Channel 1, red").check()
    shows(news, "GOOG")
    said(news, "GOOG", "from the channel")
    tickers.get_by_role("radio", name="No channel").check()
    said(tickers, "on its own")
    tickers.locator("#row-FB").click()
    shows(tickers, "FB")
    said(tickers, "on its own")
    tickers.get_by_role("radio", name="Channel 4, green").check()
    shows(tickers, "IBM")
    shows(details, "IBM")


@pytest.mark.parametrize("app", PAGES)
def test_the_picker_shows_where_the_platform_has_put_the_page(open_page: Open, stage: Stage, app: str) -> None:
    slot = stage.launch(app)
    page = open_page(slot)
    on(page, "Channel 1, red")
    stage.move(slot, "fdc3.channel.7")
    on(page, "Channel 7, magenta")
    stage.move(slot, None)
    on(page, "No channel")
    said(page, "on its own")


def test_who_comes_back_from_a_crash_is_on_its_channel_and_shows_what_that_has(open_page: Open, stage: Stage) -> None:
    tickers, slot = open_page("ticker-list"), stage.launch("ticker-details")
    details = open_page(slot)
    for page in (tickers, details):
        page.get_by_role("radio", name="Channel 3, yellow").check()
        said(page, {tickers: "sending", details: "following"}[page])
    tickers.locator("#row-IBM").click()
    shows(details, "IBM")
    stage.end(slot)
    details.close()
    again = open_page(stage.launched("ticker-details"))
    on(again, "Channel 3, yellow")
    shows(again, "IBM")
    said(again, "IBM", "from the channel")


def test_an_instrument_that_is_not_in_the_data_changes_nothing_but_is_named(three: list[Page]) -> None:
    tickers, details, news = three
    details.evaluate("fdc3.broadcast({ type: 'fdc3.instrument', id: { ticker: 'tsla' } })")
    for page in (tickers, news):
        said(page, "TSLA is not here", "from ticker-details")
    shows(tickers, "AAPL")
    shows(news, "All")
    for nonsense in ("{ type: 'fdc3.instrument' }", "{ type: 'fdc3.instrument', id: { ticker: 3 } }", "{ type: 'x' }"):
        details.evaluate(f"fdc3.broadcast({nonsense})")
    details.evaluate("fdc3.broadcast({ type: 'fdc3.instrument', id: { ticker: 'IBM' } })")
    said(tickers, "IBM", "from ticker-details")
    shows(tickers, "IBM")


def test_the_picker_is_a_radio_group_for_keyboard_and_ears(open_page: Open, stage: Stage) -> None:
    slot = stage.launch("news-feed")
    page = open_page(slot)
    group = page.get_by_role("radiogroup", name="Channel")
    on(page, "Channel 1, red")
    radios = group.get_by_role("radio")
    words = ["No channel", *(f"Channel {number}, {color}" for number, color in enumerate(COLORS, 1))]
    assert [radio.get_attribute("aria-label") for radio in radios.all()] == words
    page.keyboard.press("Tab")
    expect(radios.nth(1)).to_be_focused()
    outline = page.locator("lab-channels label:nth-child(2) .number").evaluate("e => getComputedStyle(e).outline")
    assert "2px" in outline and "solid" in outline
    for key, number in [("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2)]:
        page.keyboard.press(key)
        expect(radios.nth(number)).to_be_checked()
        page.wait_for_function(
            "id => fdc3.getCurrentChannel().then((channel) => channel?.id === id)", arg=f"fdc3.channel.{number}"
        )
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(radios.nth(0)).to_be_checked()
    page.wait_for_function("fdc3.getCurrentChannel().then((channel) => channel === null)")


def test_the_picker_returns_to_where_the_page_is_when_it_cannot_be_moved(open_page: Open) -> None:
    refuse = 'fdc3.joinUserChannel = () => Promise.reject(new Error("ApiTimeout"));'
    page = open_page("ticker-details", before=refuse)
    on(page, "Channel 1, red")
    page.get_by_role("radio", name="Channel 5, cyan").click()
    said(page, "not moved", "the platform did not answer in time")
    on(page, "Channel 1, red")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_rings_can_be_told_from_the_ground_and_from_one_another(open_page: Open, scheme: str) -> None:
    page = open_page("news-feed", scheme=scheme)
    on(page, "Channel 1, red")
    rings = page.locator("lab-channels i").evaluate_all(
        """all => {
          const paint = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
          const rgb = (color) => {
            paint.fillStyle = color;
            paint.fillRect(0, 0, 1, 1);
            return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
          };
          const light = (color) => rgb(color).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
          const ground = light(getComputedStyle(document.body).backgroundColor);
          return all.map((e) => {
            const color = getComputedStyle(e).borderColor, one = light(color);
            return [color, (Math.max(one, ground) + 0.05) / (Math.min(one, ground) + 0.05)];
          });
        }"""
    )
    assert len({color for color, _ in rings}) == 9
    assert all(contrast >= 3 for _, contrast in rings), rings


# --- intents ----------------------------------------------------------------------------------------------------------


def test_an_intent_goes_to_the_app_that_runs(three: list[Page]) -> None:
    tickers, details, news = three
    tickers.locator("#row-GOOG").click()
    shows(details, "GOOG")
    details.get_by_role("radio", name="FB", exact=True).check()
    tickers.get_by_role("button", name="Chart").click()
    expect(tickers.locator("#told")).to_have_text("Ticker Details has the chart of GOOG")
    expect(tickers.locator("#pace")).to_be_hidden()
    shows(details, "GOOG")
    said(details, "ViewChart", "from ticker-list")
    chart = details.get_by_role("button", name="Chart")
    expect(chart).to_have_attribute("aria-pressed", "true")
    expect(details.locator(".tables")).to_be_hidden()
    chart.click()
    expect(details.locator(".tables")).to_be_visible()
    chart.click()
    tickers.get_by_role("button", name="Details").click()
    said(details, "ViewInstrument", "from ticker-list")
    expect(details.locator(".tables")).to_be_visible()
    news.get_by_role("radio", name="All").check()
    details.get_by_role("button", name="News").click()
    expect(details.locator("#told")).to_have_text("News Feed has the news of GOOG")
    shows(news, "GOOG")
    said(news, "ViewNews", "from ticker-details")
    # The last line is the page's own again after a while.
    expect(details.locator("#pace")).to_be_visible(timeout=10_000)
    expect(details.locator("#told")).to_be_empty()


def test_an_intent_starts_an_app_that_does_not_run(open_page: Open, stage: Stage) -> None:
    tickers = open_page("ticker-list")
    tickers.locator("#row-FB").click()
    tickers.get_by_role("button", name="News").click()
    expect(tickers.locator("#told")).to_have_text("Starting News Feed…")
    news = open_page(stage.launched("news-feed"))
    expect(tickers.locator("#told")).to_have_text("News Feed has the news of FB")
    shows(news, "FB")
    said(news, "ViewNews", "from ticker-list")
    expect(tickers.locator("#refused")).to_be_empty()


def test_what_an_intent_asks_for_counts_more_than_the_channel(open_page: Open, stage: Stage) -> None:
    tickers = open_page("ticker-list")
    tickers.locator("#row-AAPL").click()
    said(tickers, "sent AAPL")
    tickers.locator("#row-IBM").click(button="right")
    tickers.get_by_role("menuitem", name="Show chart of IBM").click()
    details = open_page(stage.launched("ticker-details"))
    expect(details.locator("#name")).to_have_text("IBM")
    said(details, "ViewChart", "from ticker-list")
    expect(tickers.locator('[aria-selected="true"]')).to_have_id("row-AAPL")


def test_an_app_that_does_not_come_up_is_said_in_words(open_page: Open, stage: Stage) -> None:
    tickers = open_page("ticker-list")
    tickers.get_by_role("button", name="Chart").click()
    expect(tickers.locator("#told")).to_have_text("Starting Ticker Details…")
    stage.end(stage.launched("ticker-details"))
    refused = tickers.locator("#refused")
    expect(refused).to_have_text("No chart of AAPL: the app could not be started")
    assert refused.get_attribute("role") == "alert"
    expect(tickers.locator("#told")).to_be_empty()
    refused.get_by_role("button", name="Close").click()
    expect(refused).to_be_empty()
    expect(refused).to_be_hidden()


def test_an_app_that_ends_while_it_handles_an_intent_is_said_in_words(open_page: Open, stage: Stage) -> None:
    tickers, slot = open_page("ticker-list"), stage.launch("news-feed")
    # It takes the intent, and never comes to its end.
    never = (
        "const { addIntentListener } = fdc3; fdc3.addIntentListener = (intent) =>"
        " addIntentListener(intent, () => new Promise(() => {}));"
    )
    news = open_page(slot, before=never)
    said(news, "following")
    news.wait_for_function("fdc3.findIntent('ViewNews').then(({ apps }) => apps.some((app) => app.instanceId))")
    tickers.get_by_role("button", name="News").click()
    expect(tickers.locator("#told")).to_have_text("News Feed has the news of AAPL")
    stage.end(slot)
    expect(tickers.locator("#refused")).to_have_text("No news of AAPL: the app ended before it was done")


def test_nobody_handles_it(open_page: Open, stage: Stage) -> None:
    del stage.supervisor.manifests["news-feed"]
    details = open_page("ticker-details")
    details.get_by_role("button", name="News").click()
    expect(details.locator("#refused")).to_have_text("No news of AAPL: no app on this platform does that")


def test_the_menu_by_mouse_and_by_keyboard(open_page: Open) -> None:
    page = open_page("ticker-list")
    page.locator("#row-MSFT").click(button="right")
    menu = page.get_by_role("menu", name="MSFT")
    items = menu.get_by_role("menuitem")
    expect(items).to_have_text(["Show details of MSFT", "Show chart of MSFT", "Show news of MSFT"])
    expect(items.first).to_be_focused()
    for key, at in (("ArrowDown", 1), ("End", 2), ("ArrowDown", 0), ("ArrowUp", 2), ("Home", 0)):
        page.keyboard.press(key)
        expect(items.nth(at)).to_be_focused()
    box = menu.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 480
    assert all(item.bounding_box()["height"] >= 24 for item in items.all())
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    expect(page.locator("#row-AAPL")).to_be_focused()
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menu", name="AAPL")).to_be_visible()
    page.mouse.click(100, 20)
    expect(page.get_by_role("menu")).to_have_count(0)
    # Near the edge it stays inside the window.
    page.locator("#row-IBM").click(button="right", position={"x": 470, "y": 40})
    box = page.get_by_role("menu", name="IBM").bounding_box()
    assert box["x"] + box["width"] <= 480 and box["y"] + box["height"] <= 637


def test_the_words_of_menu_and_refusal_can_be_read(open_page: Open, stage: Stage) -> None:
    from test_sample_pages import TEXTS

    del stage.supervisor.manifests["news-feed"]
    for scheme in ("dark", "light"):
        page = open_page("ticker-list", scheme=scheme)
        page.get_by_role("button", name="News").click()
        expect(page.locator("#refused")).to_contain_text("No news of AAPL")
        page.locator("#row-MSFT").click(button="right")
        expect(page.get_by_role("menu")).to_be_visible()
        texts = page.evaluate(TEXTS)
        assert {"Show news of MSFT", "No news of AAPL: no app on this platform does that"} <= {t["text"] for t in texts}
        assert [text for text in texts if text["contrast"] < 4.5 or text["size"] < 12] == []
