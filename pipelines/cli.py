"""The `mimo` command: parses arguments; the work is in modules that are imported when a command needs them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DESCRIPTION = "From web pages to a reasoning model: the MiMo-7B recipe as pipelines."
EXAMPLES = """\
examples:
  mimo run                                        the whole recipe, tiny, on this machine (about 16 minutes)
  mimo run --from sft --model ./Qwen2.5-0.5B      start from a model you have, instead of pretraining
  mimo rerun --run latest --stage rl --set rl.learning_rate=2e-6 --downstream
  mimo stage sft --help                           what a stage takes, gives and can be told
  mimo report                                     the numbers of the last run, and its report's path
  mimo plan --profile mimo-7b                     tokens, steps and GPU-hours of the full recipe
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 a stage failed or findings, 2 wrong use, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if given[:1] == ["stage"] and len(given) > 1 and not given[1].startswith("-") and {"-h", "--help"} & set(given[2:]):
        return _guarded(lambda: _stage_help(given[1]))
    options = parser.parse_args(given)
    if not hasattr(options, "command"):
        parser.print_help()
        return 2
    return _guarded(lambda: options.command(options))


def _guarded(command: Any) -> int:
    """The border of the process: known errors become one clear message."""
    from components.artifacts import ArtifactError
    from components.config import ConfigError

    try:
        return command()
    except (ConfigError, ArtifactError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues where this stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mimo", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=raw)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, command: Any, summary: str, details: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, epilog=details, formatter_class=raw)
        sub.set_defaults(command=command)
        return sub

    sub = add("run", _run, "run the recipe on this machine, or continue where it stopped", _RUN_DETAILS)
    _profile_options(sub)
    _runs_option(sub)
    sub.add_argument("--from", dest="start", metavar="STAGE", choices=["sft"],
                     help="start at this stage with the checkpoint of --model: sft takes it as the Base model")
    sub.add_argument("--model", metavar="DIR", type=Path, help="a Hugging Face folder, Qwen2 or MiMo architecture")
    _runner_option(sub)
    sub.add_argument("--fresh", action="store_true", help="start a new run even where an unfinished one could go on")
    sub = add("rerun", _rerun, "run one stage of an earlier run again, on that run's artifacts", _RERUN_DETAILS)
    sub.add_argument("--run", default="latest", metavar="RUN", help="which run (default: latest)")
    sub.add_argument("--stage", required=True, metavar="STAGE", help="the stage, or one of its nodes (rl_zero)")
    sub.add_argument("--downstream", action="store_true", help="also run everything that depends on it")
    _runner_option(sub)
    _set_option(sub)
    _runs_option(sub)
    sub = add("stage", _stage, "run one stage by itself; without NAME, list the stages", _STAGE_DETAILS)
    sub.add_argument("name", nargs="?", metavar="NAME", help="a stage, or a node of the recipe (pretraining_2)")
    _profile_options(sub)
    sub.add_argument("--input", action="append", default=[], metavar="NAME=DIR", help="an input artifact's directory")
    sub.add_argument("--run", metavar="RUN", help="take inputs that are not given from this run")
    _runs_option(sub)
    _json_option(sub)
    sub = add("runs", _runs, "list the runs")
    _runs_option(sub)
    _json_option(sub)
    sub = add("report", _report, "print a run's numbers and write its HTML report")
    sub.add_argument("run", nargs="?", default="latest", metavar="RUN", help="which run (default: latest)")
    _runs_option(sub)
    _json_option(sub)
    sub = add("compile", _compile, "write one pipeline file a stage and one for the recipe", _COMPILE_DETAILS)
    _profile_options(sub, default=None)
    sub.add_argument("--out", type=Path, default=Path("build/pipelines"), metavar="DIR", help="default: %(default)s")
    sub.add_argument("--allow-unpinned", action="store_true", help="for development: images of releases by tag")
    sub = add("lint", _lint, "check compiled pipelines; without FILE, those of every shipped profile", _LINT_DETAILS)
    sub.add_argument("files", nargs="*", type=Path, metavar="FILE", help="compiled pipelines")
    sub.add_argument("--release", action="store_true", help="FILEs are of a release: images by digest only")
    sub.add_argument("--allow-unpinned", action="store_true", help="for development: images of releases by tag")
    _json_option(sub)
    sub = add("images", _images, "record which exact images a release means", _IMAGES_DETAILS)
    sub.add_argument("action", choices=["lock"], help="write digests into images/images.lock")
    sub.add_argument("references", nargs="*", metavar="IMAGE", help="default: the images of --profile")
    _profile_options(sub, default="gpu")
    sub = add("plan", _plan, "tokens, steps and GPU-hours that a profile will take")
    _profile_options(sub)
    _json_option(sub)
    _judge_commands(add("judge", None, "the judge as a server of its own", _JUDGE_DETAILS))
    sub = add("doctor", _doctor, "name what this machine lacks, and the command that mends it")
    _json_option(sub)
    return parser


_RUN_DETAILS = """\
A run that was interrupted goes on; one that is finished is not repeated. Results are shared by all runs below --runs:
a stage whose code, config and inputs are the same is not computed again.

  mimo run --profile smoke --set sft.epochs=2
  mimo run --from sft --model ./Qwen2.5-0.5B
"""
_RERUN_DETAILS = """\
  mimo rerun --run latest --stage rl --set rl.learning_rate=2e-6
  mimo rerun --stage evaluation --set evaluation.sampling.samples=16 --downstream
"""
_STAGE_DETAILS = """\
  mimo stage                                    the stages
  mimo stage sft --help                         what it takes, gives and can be told
  mimo stage sft --run latest --set sft.epochs=1
"""
_COMPILE_DETAILS = """\
Release profiles name their images by digest, from images/images.lock (see mimo images lock). As long as none is there,
compiling them needs --allow-unpinned.
"""
_IMAGES_DETAILS = """\
After `make images` and `docker push`, of images that a profile's [images] table names:

  mimo images lock --profile gpu
  mimo images lock registry.example/team/mimo-data registry.example/team/mimo-judge
"""
_LINT_DETAILS = """\
rules: dangling-input, no-shared-memory, retry-maximum, cached-effect, unpinned-image, runtime-install
"""
_JUDGE_DETAILS = """\
A stage judges completions in its own process, or asks the server that its reward.judge_url names: same verdicts, same
fingerprints. A server is worth it where several stages share CPU machines, or where the GPU machine's cores are few.

  mimo judge serve                              on this machine, port 8300
  mimo run --set rl.reward.judge_url=http://127.0.0.1:8300
  mimo judge serve --help                       limits, queue, sandbox level
"""


def _judge_commands(parser: argparse.ArgumentParser) -> None:
    from components.reward.service import command

    parser.set_defaults(command=lambda options: _judge_help(parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    serve = commands.add_parser("serve", help=command.SUMMARY, description=command.SUMMARY, add_help=False,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_options(serve)
    serve.set_defaults(command=command.run)


def _judge_help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 2


def _profile_options(parser: argparse.ArgumentParser, default: str | None = "smoke") -> None:
    text = "smoke, gpu, mimo-7b or a .toml file" + (f" (default: {default})" if default else " (default: all)")
    parser.add_argument("--profile", default=default, metavar="PROFILE", help=text)
    _set_option(parser)


def _set_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
                        help="override one value, e.g. rl.learning_rate=2e-6; may be repeated")


def _runs_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs lie (default: runs)")


def _runner_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runner", choices=["subprocess", "docker"], default="subprocess",
                        help="run tasks as processes, or as containers of their images (default: %(default)s)")


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _run(options: argparse.Namespace) -> int:
    from pipelines import commands

    return commands.run(options.profile, options.overrides, options.runs, options.start, options.model, options.fresh,
                        options.runner)


def _rerun(options: argparse.Namespace) -> int:
    from pipelines import commands

    return commands.rerun(
        options.run, options.stage, options.overrides, options.runs, options.downstream, options.runner
    )


def _stage(options: argparse.Namespace) -> int:
    from pipelines import commands

    if options.name is None:
        return commands.list_stages(options.json)
    return commands.run_stage(
        options.name, options.profile, options.overrides, options.input, options.run, options.runs, options.json
    )


def _stage_help(name: str) -> int:
    from pipelines import commands

    return commands.describe_stage(name)


def _runs(options: argparse.Namespace) -> int:
    from pipelines import commands

    return commands.list_all_runs(options.runs, options.json)


def _report(options: argparse.Namespace) -> int:
    from pipelines import commands

    return commands.report(options.run, options.runs, options.json)


def _compile(options: argparse.Namespace) -> int:
    from pipelines.compile import compile_profile
    from pipelines.profile import load_profile, profile_names

    for name in [options.profile] if options.profile else profile_names():
        paths = compile_profile(load_profile(name, options.overrides), options.out, options.allow_unpinned)
        print(f"{len(paths)} pipelines in {paths[0].parent}")
    return 0


def _lint(options: argparse.Namespace) -> int:
    from pipelines.lint import RULES, lint_file, lint_profiles

    if options.files:
        findings = [finding for path in options.files for finding in lint_file(path, options.release)]
    else:
        findings = lint_profiles(options.allow_unpinned)
    if options.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{finding.file}: {finding.rule}: {finding.where}: {finding.message}")
        print(f"{len(findings)} findings; rules: {', '.join(RULES)}")
    return 1 if findings else 0


def _images(options: argparse.Namespace) -> int:
    from pipelines.containers import connect
    from pipelines.images import LOCK_FILE, lock_images
    from pipelines.profile import load_profile

    references = options.references or load_profile(options.profile, options.overrides).images.values()
    for name, digest in lock_images(connect(), references).items():
        print(f"{name}  {digest}")
    print(f"written to {LOCK_FILE}")
    return 0


def _plan(options: argparse.Namespace) -> int:
    from pipelines.plan import print_plan

    return print_plan(options.profile, options.overrides, options.json)


def _doctor(options: argparse.Namespace) -> int:
    from pipelines.doctor import print_checks

    return print_checks(options.json)


if __name__ == "__main__":
    sys.exit(main())
