"""The user channel an app begins on: its manifest's at first, then the one it was on when it ended."""

from __future__ import annotations

from typing import Any

from support.apps import AT_ONCE, make_app

SERVICE = """
def main(lab):
    joined = lab.desktop_agent.get_current_channel()
    lab.channel("told").broadcast({"type": "joined", "id": joined and joined.id})
    lab.stopping.wait()
"""


def joined(app: Any) -> str | None:
    """The user channel that an app's page finds itself on."""
    return app.evaluate_js("fdc3.getCurrentChannel().then((channel) => channel?.id ?? null)", timeout=20)


def again(app: Any) -> Any:
    """The app, once it has come back from a crash."""
    app.crash("renderer")
    return app.wait_for("running", timeout=30)


def test_an_app_begins_on_its_channel_and_comes_back_to_where_it_was(platform: Any, tmp_path: Any) -> None:
    for name, group in (("by-id", "fdc3.channel.2"), ("by-color", "red"), ("unknown", "pink"), ("plain", None)):
        make_app(tmp_path, name, restart=AT_ONCE, interop={"currentContextGroup": group})
    make_app(tmp_path, "service", page=None, python=SERVICE, interop={"currentContextGroup": "cyan"})
    lab = platform(tmp_path)
    by_id, by_color, unknown, plain = lab.launch_all("by-id", "by-color", "unknown", "plain")
    assert [joined(app) for app in (by_id, by_color, unknown, plain)] == [
        "fdc3.channel.2",
        "fdc3.channel.1",
        None,
        None,
    ]
    (remark,) = [entry for entry in unknown.events if entry.kind == "fdc3"]
    assert (remark.level, "no user channel 'pink'" in remark.text) == ("warning", True)

    # Each comes back to where it was, which need not be where it began.
    assert joined(again(by_id)) == "fdc3.channel.2"
    by_id.evaluate_js("fdc3.joinUserChannel('fdc3.channel.5')", timeout=20)
    by_color.evaluate_js("fdc3.leaveCurrentChannel()", timeout=20)
    assert [joined(again(app)) for app in (by_id, by_color)] == ["fdc3.channel.5", None]
    # One that is launched anew begins afresh.
    by_id.stop()
    assert joined(lab.launch("by-id")) == "fdc3.channel.2"

    lab.launch("service")
    told = """fdc3.getOrCreateChannel("told").then(async (channel) => {
        let context = null;
        while (!(context = await channel.getCurrentContext("joined"))) await new Promise((go) => setTimeout(go, 10));
        return context.id;
    })"""
    assert plain.evaluate_js(told, timeout=20) == "fdc3.channel.5"
