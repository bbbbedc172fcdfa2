"""The command line of the judge's server, shared by `mimo judge serve` and `python -m components.reward.service`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

SUMMARY = "serve verdicts over HTTP, for stages that name this server in reward.judge_url"
DETAILS = """\
  mimo judge serve --port 8300 --set slots=8 --set queue_items=8192
  mimo run --set rl.reward.judge_url=http://127.0.0.1:8300

The server answers /readyz when the sandbox's self-test has reached minimum_level, and ends with what to change where
it cannot be reached. SIGTERM drains it: accepted work is answered, new work is refused with 503. The interface is
described at /openapi.json, metrics are at /metrics. Nothing here changes a verdict.
"""


class _HelpWithKeys(argparse.Action):
    """--help that lists the config's keys; they are imported when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from components.reward.service.config import ServiceConfig

        rows = [(name, field.get_default(call_default_factory=True), field.description)
                for name, field in ServiceConfig.model_fields.items()]
        keys = "\n".join(f"  {name:<14}{default!s:<10}{text}" for name, default, text in rows)
        parser.epilog = f"keys of --set, their defaults here, and what they bound:\n{keys}\n\n{DETAILS}"
        parser.print_help()
        parser.exit()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the server; the parser must have been made with add_help=False."""
    parser.add_argument("-h", "--help", action=_HelpWithKeys, nargs=0, help="show this help and the keys of --set")
    parser.add_argument("--host", default="127.0.0.1", help="address, 0.0.0.0 for all (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8300, help="0: any free one (default: %(default)s)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
                        help="one value of the server's config; may be repeated")


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop; returns the exit status.

    Raises:
        ConfigError: a wrong key or value, or an address that cannot be had.
    """
    from components.config import apply_override, build, parse_override
    from components.reward.service.config import ServiceConfig

    values: dict[str, Any] = {}
    for text in options.overrides:
        path, value = parse_override(text)
        apply_override(values, path, value)
    config = build(ServiceConfig, values, "judge")
    from components.reward.service.server import serve

    return serve(config, options.host, options.port)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m components.reward.service`."""
    import sys

    from components.config import ConfigError

    parser = argparse.ArgumentParser(
        "python -m components.reward.service", description=SUMMARY, add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    try:
        return run(parser.parse_args(arguments))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
