"""The lists that set-up installs from: system packages, exact Python versions, the page agent's lock, the top level."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

TOP_LEVEL = {"pyproject.toml", "labplatform", "notebooks", "tests", "manifests", "binder", "README.md", "LICENSE"}
OLDEST_PYTHONS = ("3.11.2", "3.12.3", "3.13.0")
"""What Debian 12 and Ubuntu 24.04 have, and the first of the newest that is checked."""

# Each name of binder/apt*.txt as Ubuntu 24.04 (noble) has it. With no Ubuntu archive at hand they were compared with
# logs of `apt-get install` on noble that are public ("Get: … noble/main amd64 NAME amd64 VERSION"), the versions below
# coming from there; names without a version are those of Playwright's own table of what its browsers need on
# ubuntu24.04-x64. None: noble has no such package (Chromium is a snap there), so apt-test.txt marks it optional.
NOBLE = {
    "bubblewrap": "0.9.0-1build1",
    "fonts-dejavu-core": "2.37-8",
    "libasound2t64": "1.2.11-1build2",
    "libatk-bridge2.0-0t64": "",
    "libatk1.0-0t64": "",
    "libatomic1": "",
    "libatspi2.0-0t64": "2.52.0-1build1",
    "libcairo2": "",
    "libcups2t64": "",
    "libdbus-1-3": "",
    "libegl1": "1.7.0-1build1",
    "libfontconfig1": "",
    "libgbm1": "",
    "libgl1": "1.7.0-1build1",
    "libglib2.0-0t64": "",
    "libgssapi-krb5-2": "1.20.1-6ubuntu2",
    "libnspr4": "",
    "libnss3": "",
    "libpango-1.0-0": "",
    "libx11-xcb1": "2:1.8.7-1build1",
    "libxcb-cursor0": "0.1.4-1build1",
    "libxcb-dri3-0": "1.15-1ubuntu2",
    "libxcb-icccm4": "0.4.1-1.1build3",
    "libxcb-image0": "0.4.0-2build1",
    "libxcb-keysyms1": "0.4.0-1build4",
    "libxcb-randr0": "1.15-1ubuntu2",
    "libxcb-render-util0": "0.3.9-1build4",
    "libxcb-shape0": "1.15-1ubuntu2",
    "libxcb-util1": "0.4.0-1build3",
    "libxcb-xfixes0": "1.15-1ubuntu2",
    "libxcb-xkb1": "1.15-1ubuntu2",
    "libxcomposite1": "",
    "libxdamage1": "",
    "libxfixes3": "",
    "libxkbcommon-x11-0": "1.6.0-1build1",
    "libxkbcommon0": "",
    "libxkbfile1": "1:1.1.0-1build4",
    "libxrandr2": "2:1.5.2-2build1",
    "libxtst6": "2:1.2.3-1.1build1",
    "xauth": "1:1.1.2-1build1",
    "xvfb": "2:21.1.12-1ubuntu1",
    "chromium": None,
}


def system_packages(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def exact_versions(project: Path) -> dict[str, str]:
    lines = (project / "binder" / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, _, version in (x.partition("==") for x in lines if x[0] != "#")}


def test_system_package_names_are_plain_and_listed_once(project):
    binder = system_packages(project / "binder" / "apt.txt")
    test = system_packages(project / "binder" / "apt-test.txt")
    # mybinder.org takes the lines of apt.txt as they are, so only apt-test.txt may mark one as optional.
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name) for name in binder), binder
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+\??", name) for name in test), test
    both = [name.rstrip("?") for name in binder + test]
    assert sorted(set(both)) == sorted(both)


def test_each_system_package_is_known_in_ubuntu_24_04(project):
    names = [name for file in ("apt.txt", "apt-test.txt") for name in system_packages(project / "binder" / file)]
    assert {name.rstrip("?") for name in names} == set(NOBLE)
    assert {name.rstrip("?") for name in names if name.endswith("?")} == {n for n, v in NOBLE.items() if v is None}


@pytest.mark.skipif(not shutil.which("apt-cache"), reason="apt-cache is not here: neither Debian nor Ubuntu")
def test_each_system_package_has_a_candidate_on_this_release(project):
    names = [name for file in ("apt.txt", "apt-test.txt") for name in system_packages(project / "binder" / file)]
    asked = {form for name in names for form in (name.rstrip("?"), name.rstrip("?").removesuffix("t64"))}
    answer = subprocess.run(
        ["apt-cache", "policy", *sorted(asked)],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C"},
        timeout=60,
        check=True,
    ).stdout
    known = set(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (?!\(none\))", answer, re.MULTILINE))
    lacking = [n for n in names if not n.endswith("?") and not {n, n.removesuffix("t64")} & known]
    assert not lacking


def test_constraints_are_names_and_exact_versions_only(project):
    lines = (project / "binder" / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9A-Za-z.+!]*", pin) for pin in pins), pins
    assert len(exact_versions(project)) == len(pins)
    assert pins == sorted(pins, key=str.upper)


def test_constraints_lie_within_the_ranges_of_pyproject(project):
    table = tomllib.loads((project / "pyproject.toml").read_text())
    exact = exact_versions(project)
    wanted = table["project"]["dependencies"] + table["build-system"]["requires"]
    wanted += [item for extra in table["project"]["optional-dependencies"].values() for item in extra]
    for requirement in map(Requirement, wanted):
        version = exact.get(canonicalize_name(requirement.name))
        assert version, f"{requirement} has no exact version in binder/constraints.txt"
        assert version in requirement.specifier, f"{requirement.name}=={version} is outside of {requirement}"


def closure(name: str, extras: frozenset[str]) -> set[str]:
    """Names of everything that `name[extras]` brings along, as installed here."""
    found: dict[str, frozenset[str]] = {}
    waiting = [(canonicalize_name(name), extras)]
    while waiting:
        name, extras = waiting.pop()
        if name in found and extras <= found[name]:
            continue
        found[name] = found.get(name, frozenset()) | extras
        try:
            requirements = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:  # left out of this environment; what it needs is not known here
            requirements = ()
        for text in requirements:
            requirement = Requirement(text)
            if requirement.marker and not any(requirement.marker.evaluate({"extra": e}) for e in extras | {""}):
                continue
            waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return set(found)


@pytest.fixture(scope="module")
def brought_along() -> set[str]:
    try:
        metadata.distribution("labplatform")
    except metadata.PackageNotFoundError:
        pytest.skip("labplatform is imported from a folder, not installed: binder/setup test")
    return closure("labplatform", frozenset({"test"})) - {"labplatform"}


def test_everything_that_gets_installed_is_pinned(project, brought_along):
    assert brought_along - set(exact_versions(project)) == set()


def test_the_versions_suit_the_pythons_of_debian_12_and_ubuntu_24_04(project, brought_along):
    # Checked by metadata, for pip would refuse only on the other machine: a package may ask for a later 3.11 than
    # the 3.11.2 of Debian 12.
    exact = exact_versions(project)
    compared = 0
    installed = {canonicalize_name(found.name): found.metadata for found in metadata.distributions()}
    for name in brought_along & set(installed):
        about = installed[name]
        if about["Version"] != exact[name]:
            continue
        compared += 1
        admits = SpecifierSet(about["Requires-Python"] or "")
        for python in OLDEST_PYTHONS:
            assert python in admits, f"{name}=={exact[name]} needs Python {admits}, and {python} is to be served"
    assert compared > 100, "this environment was not made with binder/constraints.txt: binder/setup test"


def test_no_package_address_is_written_down(project):
    lock = json.loads((project / "labplatform" / "page" / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    for path in [project / "labplatform" / "page" / ".npmrc", *(project / "binder").iterdir()]:
        if path.is_file():
            text = path.read_text()
            assert "://" not in text and not re.search(r"^\s*registry\s*=", text, re.MULTILINE), path


def test_top_level_is_exactly_as_drawn(project):
    if not (project / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    command = ["git", "-c", f"safe.directory={project}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True, timeout=60).stdout
    top = {name.partition("/")[0] for name in listed.split("\0") if name}
    assert {name for name in top if not name.startswith(".")} == TOP_LEVEL


def test_container_and_binder_ask_for_a_python_and_a_system_that_will_do(project):
    container = "\n".join(
        line for line in (project / ".devcontainer" / "devcontainer.json").read_text().splitlines()
        if not line.lstrip().startswith("//")
    )  # fmt: skip
    container = json.loads(container)
    assert container["image"].endswith(":ubuntu-24.04")
    assert container["postCreateCommand"] == "binder/setup"
    assert 8888 in container["forwardPorts"]
    runtime = re.fullmatch(r"python-(\d+\.\d+)\n", (project / "binder" / "runtime.txt").read_text())
    table = tomllib.loads((project / "pyproject.toml").read_text())
    assert runtime[1] in SpecifierSet(table["project"]["requires-python"])
