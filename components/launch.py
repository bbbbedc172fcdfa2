"""Runs a stage on all GPUs of this machine: in this process, or under torchrun with a process a GPU.

    launch("pretraining", config, inputs, store)                    what a task of the pipeline calls
    torchrun --nnodes 4 … -m components.launch request.json         on each of several machines that mount the store

A request is `{"stage", "config", "inputs", "store"}`. Under torchrun every process runs the stage (`runner.execute`
with a team), the leader writes. `PET_NPROC_PER_NODE`, torchrun's own variable, sets the number of processes by hand.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import ArtifactError, write_json
from components.config import ConfigError, StageConfig
from components.runner import Result, execute, find_stage

PROCESSES = "PET_NPROC_PER_NODE"
_ERRORS = {error.__name__: error for error in (ConfigError, ArtifactError)}
_PR_SET_PDEATHSIG = 1


class ProcessFailed(RuntimeError):   # noqa: N818 - it is the process that failed
    """A process of the stage ended without a result; what it printed says why."""


def launch(
    stage_name: str, config: StageConfig | Mapping[str, Any], inputs: Mapping[str, str | Path], store: str | Path
) -> Result:
    """`runner.execute`, by as many processes as this machine has GPUs where the stage can be `distributed`.

    Raises:
        ConfigError, ArtifactError: as `execute`.
        ProcessFailed: a process was killed or ended by an error of another kind.
    """
    processes = _processes() if find_stage(stage_name).distributed else 1
    if processes == 1:
        return execute(stage_name, config, inputs, store)
    values = config.model_dump(mode="json") if isinstance(config, StageConfig) else dict(config)
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        paths = {name: str(Path(path).resolve()) for name, path in inputs.items()}
        write_json(
            request,
            {"stage": stage_name, "config": values, "inputs": paths, "store": str(store), "answer": str(answer)},
        )
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
                   "-m", "components.launch", str(request)]  # fmt: skip
        status = subprocess.run(command, preexec_fn=_die_with_parent, check=False).returncode
        said = json.loads(answer.read_text()) if answer.exists() else {}
    if said.get("error") in _ERRORS:
        raise _ERRORS[said["error"]](said["message"])
    if status or not said or "error" in said:
        why = f"{said['error']}: {said['message']}" if said else f"torchrun ended with status {status}"
        raise ProcessFailed(f"{stage_name}: {why}; the output of its processes says more")
    return Result(Path(said["directory"]), reused=said["reused"])


def _processes() -> int:
    given = os.environ.get(PROCESSES)
    if given:
        if not given.isdigit() or int(given) < 1:
            raise ConfigError(f"{PROCESSES} is {given!r}; a number of processes from 1 is needed")
        return int(given)
    import torch

    return max(1, torch.cuda.device_count())


def main() -> None:
    """One process of those that torchrun starts."""
    _die_with_parent()   # torchrun's end by SIGKILL would leave it behind, still writing
    from components.training.parallel import joined

    request = json.loads(Path(sys.argv[1]).read_text())
    answer = Path(request["answer"]) if "answer" in request else None
    with joined() as world:
        said: dict[str, Any]
        try:
            result = execute(request["stage"], request["config"], request["inputs"], request["store"], world)
            said = {"directory": str(result.directory), "reused": result.reused}
        except Exception as error:
            said = {"error": type(error).__name__, "message": str(error)}
            if type(error) not in _ERRORS.values():
                traceback.print_exc()
        if answer and (world.leader or "error" in said):
            write_json(answer, said)
        if "error" in said:
            print(f"error: {said['message']}", file=sys.stderr, flush=True)
            os._exit(1)   # the others may be waiting for this one; torchrun ends them


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
