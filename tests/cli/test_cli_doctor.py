"""`labplatform doctor`, as text and JSON, and with a real page to read the sandbox from."""

from __future__ import annotations

import json

from labplatform import doctor


def test_it_is_the_report(cli):
    done = cli("doctor", "--json")
    data = json.loads(done.stdout)
    assert [check["name"] for check in data["checks"]] == [check.name for check in doctor.report().checks]
    assert done.returncode == int(data["state"] == "problem")


def test_launch_reads_the_sandbox_of_a_real_renderer(cli):
    done = cli("doctor", "--launch", seconds=40)
    assert "the page that was started for this has: " in " ".join(done.stdout.split())
    assert done.stderr.startswith("labplatform: starting ")
