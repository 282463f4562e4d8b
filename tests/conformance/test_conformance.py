"""FDC3's own conformance tests against this desktop agent, with each of their apps in a process of its own."""

from __future__ import annotations

import pytest
from conformance import runner, suite
from support.npm import Unreachable

AUTOMATED = 83
"""Tests that the suite runs without a person, in the release that is pinned."""
SECONDS = 600.0
"""For all of them, by the runner's own clock: two of them wait a minute each, and most of them two seconds."""


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_the_official_suite(platform, tmp_path, pytestconfig, subtests):
    cache = pytestconfig.cache.mkdir("fdc3-conformance")
    try:
        built = suite.build(suite.find(cache), cache, tmp_path)
    except Unreachable as error:
        pytest.skip(str(error))
    pace = runner.pace()
    if pace != 1:
        runner.slow_down(built / "apps" / "app" / "index.html", pace)
    passed, failed, processes = [], [], {}
    with suite.served(built) as address:
        lab = platform(suite.directory(built, address, tmp_path))
        for title, problem in runner.run(lab.launch(suite.RUNNER, timeout=60), "All", SECONDS * max(1.0, pace)):
            processes |= {app.instance_id: app.pid for app in lab.apps if app.pid}
            (failed if problem else passed).append(title)
            with subtests.test(msg=title):
                if problem:
                    pytest.fail(f"{title}: {problem}", pytrace=False)
    print(f"{len(passed)} of {AUTOMATED} passed, {len(failed)} failed; at least {len(processes)} processes")
    assert (failed, len(passed)) == ([], AUTOMATED)
    assert len(set(processes.values())) == len(processes) > 10, "each app was a process of its own"
