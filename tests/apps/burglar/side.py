"""A Python side that runs code in its host's pages, in the relay's own world: where no page's script gets."""

import gc

from labplatform.apphost.qt.bridge import RELAY_WORLD
from labplatform.apphost.qt.window import QtWindow


def main(lab):
    window = next(thing for thing in gc.get_objects() if isinstance(thing, QtWindow))
    channel = lab.channel("burglary")

    def found(value):
        channel.broadcast({"type": "burglary.found", "value": value})

    def try_it(where, code):
        if where == "scripts":
            return found([script.sourceCode() for script in window.page.scripts().toList()])
        frame = (window.popups[0].page() if where == "popup" else window.page).mainFrame()
        frame = frame.children()[0] if where == "frame" else frame
        frame.runJavaScript(code, RELAY_WORLD.value, found)

    channel.add_context_listener("burglary.try", lambda c, _: window.gui.call(try_it, c["where"], c["code"]))
    lab.stopping.wait()
