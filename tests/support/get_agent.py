"""FDC3's `getAgent()`, bundled from npm into pytest's cache as a page of somebody else's would have it."""

from __future__ import annotations

from pathlib import Path

from .npm import esbuild, installed, made_once

SOURCES = Path(__file__).with_name("get_agent")


def bundle(cache: Path) -> str:
    """A script that sets `window.getAgent`, from npm on first use. Raises `Unreachable` where that is not possible."""
    packages = installed(SOURCES, cache)

    def make(workshop: Path) -> Path:
        page, script = workshop / "page.js", workshop / "made.js"
        page.write_text('export { getAgent } from "@finos/fdc3-get-agent";\n')
        named = ("--format=iife", "--global-name=all", "--footer:js=window.getAgent=all.getAgent;")
        esbuild(packages, str(page), "--bundle", "--minify", f"--outfile={script}", *named)
        return script

    return made_once(packages / "get-agent.js", make).read_text(encoding="utf-8")
