"""The command `labplatform`: lab, run, ps, why, stop, kill, doctor, bench. CLI process.

Here stand the words and options, and how an error ends; each command's work has a file of its own, imported only when
it is asked for, so that `--help` and `ps` answer at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from .. import __version__
from ..errors import LabError

OK, PROBLEM, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

EXIT_CODES = """\
exit codes:
  0    done
  1    a problem, told in one line on standard error
  2    wrong usage
  130  interrupted by Ctrl-C (143: by SIGTERM)

LABPLATFORM_DEBUG=1 shows where an error comes from."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, taken as an interrupt."""


class Usage(LabError):
    """Options that do not go together; ends with exit code 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["bench"]:
            # Its own options, its own --help.
            return importlib.import_module("labplatform.bench.__main__").main(words[1:])
        options = parse(words)
        code = importlib.import_module(f".{options.module}", __name__).main(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more, as in `labplatform ps | head -1`; Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEM
    except Exception as error:
        if os.environ.get("LABPLATFORM_DEBUG"):
            traceback.print_exc()
        complain(error.message if isinstance(error, LabError) else f"{type(error).__name__}: {error}")
        return USAGE if isinstance(error, Usage) else PROBLEM


def complain(text: str) -> None:
    """One line on standard error, whatever a page or file has put into it."""
    from .words import printable

    print(f"labplatform: {printable(' '.join(text.split()))}", file=sys.stderr, flush=True)


def parse(words: list[str]) -> argparse.Namespace:
    """The command and its options. Ends the process with 0 for `--help` and `--version`, 2 for wrong usage."""
    words, rest = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, None)
    parser = _parser()
    options = parser.parse_args(words)
    if rest is not None and options.module != "lab":
        parser.error("only `labplatform lab` takes further arguments after --")
    options.rest = rest or []
    return options


class _Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions are wrapped to the terminal; examples and exit codes stay as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = (
            super()._fill_text if "examples:" in text else super(argparse.RawDescriptionHelpFormatter, self)._fill_text
        )
        return fill(text, width, indent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labplatform",
        description="Run web apps as processes of their own, and steer them from any terminal.",
        epilog="""\
examples:
  labplatform lab                      open JupyterLab on the first lesson
  labplatform run ticker-list news-feed
  labplatform ps                       what runs, on every platform of yours
  labplatform kill ticker-list         end one app; the others go on

`labplatform COMMAND --help` tells a command's options.

"""
        + EXIT_CODES,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"labplatform {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _lab(commands)
    _run(commands)
    _ps(commands)
    _why(commands)
    _stop(commands)
    _kill(commands)
    _doctor(commands)
    commands.add_parser(
        "bench", help="measure start, launch, memory, idle CPU, how fast a death is noticed, how fast apps talk"
    )
    return parser


def _command(commands, name: str, module: str, brief: str, description: str, examples: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=brief,
        description=description,
        epilog=f"examples:\n{examples}\n{EXIT_CODES}",
        formatter_class=_Help,
    )
    parser.set_defaults(module=module, command=name)
    return parser


def _lab(commands) -> None:
    lab = _command(
        commands,
        "lab",
        "lab",
        "open JupyterLab on the first lesson, in a folder you may write to",
        "Copies the lessons to a folder of yours and opens JupyterLab on the first one. A lesson that you have "
        "changed is never overwritten. Ctrl-C ends JupyterLab, its kernels, and the platforms they started.",
        """\
  labplatform lab
  labplatform lab --folder ~/lessons --no-browser
  labplatform lab --ip 0.0.0.0 --port 9000 -- --ServerApp.max_body_size=1000000
""",
    )
    lab.add_argument(
        "--folder",
        metavar="DIR",
        help="where the lessons go; else ./labplatform-lessons, or one among your documents where ./ is not writable",
    )
    lab.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    lab.add_argument("--port", type=port, metavar="N", help="JupyterLab's port (8888, or the next free one)")
    lab.add_argument("--ip", metavar="IP", help="the address JupyterLab listens on (localhost)")
    lab.usage = (
        "labplatform lab [-h] [--folder DIR] [--no-browser] [--port N] [--ip IP]\n"
        + " " * 23
        + "[-- ARGUMENTS-FOR-JUPYTER...]"
    )


def _run(commands) -> None:
    run = _command(
        commands,
        "run",
        "run",
        "run apps in the foreground, without a notebook",
        "Starts a platform with these apps and follows it: what starts, ends, crashes or hangs is printed as it "
        "happens. Ends on Ctrl-C, or when every app with a window has ended; nothing is left then. Exit code 1 if an "
        "app did not start, or was given up after too many crashes. With --detach it ends when the apps are up, and "
        "they go on: `labplatform ps` shows them, `labplatform stop` ends them, and Platform.attach() takes part in "
        "their platform from a notebook.",
        """\
  labplatform run ticker-list ticker-details news-feed
  labplatform run my-app/app.json ./more-apps
  labplatform run https://example.org/page.html
  labplatform run https://example.org/manifest.fin.json
  labplatform run https://directory.example.org/api/appd
  labplatform run --isolation shared-renderer ticker-list news-feed
  labplatform run --json --for 60 ticker-list
  labplatform run --detach --name desk ticker-list news-feed
""",
    )
    run.add_argument(
        "apps",
        nargs="+",
        metavar="MANIFEST-or-URL",
        help="a sample app by its id (ticker-list); a folder of apps; a file or http(s) address: an app.json, an "
        "OpenFin manifest, an app directory or one of its records (all apps that it holds start), or a page; app@host "
        "for an app of the directory on that host",
    )
    run.add_argument(
        "--isolation",
        choices=["process", "shared-process", "shared-renderer"],
        default="process",
        help="every app its own process (the default), all in one, or all pages in one renderer as well",
    )
    run.add_argument(
        "--display", choices=["auto", "offscreen"], default="auto", help="draw on the screen if there is one"
    )
    run.add_argument("--theme", choices=["auto", "light", "dark"], default="auto", help="how pages are asked to look")
    run.add_argument("--timeout", type=seconds, default=30.0, metavar="SECONDS", help="for each app's start (30)")
    run.add_argument(
        "--for", type=seconds, dest="duration", metavar="SECONDS", help="end this long after the last start"
    )
    run.add_argument(
        "--detach", action="store_true", help="let the platform go on by itself once the apps are up, and return"
    )
    run.add_argument("--name", default="", help="what the platform can be called, as in --platform NAME")
    run.add_argument("--json", action="store_true", help="print one JSON object a line")


def _ps(commands) -> None:
    ps = _command(
        commands,
        "ps",
        "ps",
        "what runs on every platform of yours",
        "Lists your running platforms and their apps, asking their supervisors; no notebook has to answer. CPU is in "
        "percent of one core; memory is what an app's processes hold for themselves, not what they share. A "
        "supervisor that does not answer within 2 s is told as a problem, with exit code 1.",
        """\
  labplatform ps
  labplatform ps --all
  labplatform ps --json
""",
    )
    ps.add_argument("--all", action="store_true", help="list each process, with its role")
    ps.add_argument("--json", action="store_true", help="print JSON: a list of platforms, bytes and seconds")


def _why(commands) -> None:
    why = _command(
        commands,
        "why",
        "why",
        "why an app died: the last crash report, with its evidence",
        "Tells the last crash report, of any app or of one, from the platforms that run and from what platforms before "
        "them have kept. Reports hold no message, no saved state and no token, but the last picture of the window.",
        """\
  labplatform why
  labplatform why ticker-details --html why.html
  labplatform why --list
  labplatform why --nth 2 --json
""",
    )
    why.add_argument("app", nargs="?", metavar="APP", help="an app's name, as `labplatform ps` shows it, or its id")
    why.add_argument("--list", action="store_true", help="list the reports that there are, the last one last")
    why.add_argument("--nth", type=count, default=1, metavar="N", help="the last report but N - 1 (1: the last)")
    why.add_argument("--json", action="store_true", help="print JSON: all of it, the picture in base64")
    why.add_argument("--html", metavar="FILE", help="write it as a page, in one file that needs nothing else")
    why.add_argument("--store", metavar="FILE", help="read this store, and ask no platform")


def _stop(commands) -> None:
    stop = _command(
        commands,
        "stop",
        "ending",
        "close apps, or a whole platform, in good order",
        "Closes apps by name, or platforms with all their apps. Without a name it stops the one platform that runs.",
        """\
  labplatform stop ticker-list
  labplatform stop ticker-list --platform 4711
  labplatform stop --platform 4711
  labplatform stop --all
""",
    )
    _whom(stop)
    stop.add_argument(
        "--timeout", type=seconds, default=5.0, metavar="SECONDS", help="to close in; then an app is killed (5)"
    )
    stop.set_defaults(force=False)


def _kill(commands) -> None:
    kill = _command(
        commands,
        "kill",
        "ending",
        "end apps, or a whole platform, at once",
        "Ends apps by SIGKILL; they are not started again, and the others go on. With --platform or --all and no name, "
        "ends platforms with all their apps: the supervisor is asked first, and killed where it does not answer "
        "within 2 s.",
        """\
  labplatform kill ticker-list
  labplatform kill ticker-list news-feed --platform 4711
  labplatform kill --platform 4711
  labplatform kill --all --force
""",
    )
    _whom(kill)
    kill.add_argument("--force", action="store_true", help="with --platform or --all: do not ask the supervisor first")


def _whom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("apps", nargs="*", metavar="APP", help="an app's name, as `labplatform ps` shows it")
    parser.add_argument(
        "--platform",
        type=platform,
        metavar="PID-or-NAME",
        help="the platform with this supervisor PID or name: it, or the apps named on it",
    )
    parser.add_argument("--all", action="store_true", help="every platform of yours")


def _doctor(commands) -> None:
    doctor = _command(
        commands,
        "doctor",
        "doctor",
        "what this machine offers and lacks, and the remedy",
        "Looks at everything the platform needs, and says how to mend what is missing. Exit code 1 if there is a "
        "problem.",
        """\
  labplatform doctor
  labplatform doctor --launch
  labplatform doctor --json
""",
    )
    doctor.add_argument("--launch", action="store_true", help="start an app, and read its renderer's sandbox")
    doctor.add_argument("--json", action="store_true", help="print JSON")


def port(text: str) -> int:
    """A TCP port that may be asked for."""
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"expected a port, 1 to 65535, not {text!r}")
    return int(text)


def platform(text: str) -> int | str:
    """A platform's pid or name."""
    return int(text) if text.isascii() and text.isdigit() else text


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A positive number of seconds, a day at most."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds, above 0 and at most 86400, not {text!r}")
    return value
