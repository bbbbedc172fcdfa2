"""The fix for kfp.local's lost exit codes: that it is needed, that it works, and that it makes way."""

from typing import Any

import docker
import pytest
from kfp.local import docker_task_handler

from pipelines import exit_codes


class Container:
    """One whose program fails at once; an engine asked for `auto_remove` has removed it before anybody can look."""

    def __init__(self, removed: bool) -> None:
        self.removed = removed

    def start(self) -> None:
        pass

    def _look(self) -> None:
        if self.removed:
            raise docker.errors.NotFound("No such container")

    def logs(self, **_: Any) -> list[bytes]:
        self._look()
        return [b"last \xff words\n"]

    def wait(self) -> dict[str, int]:
        self._look()
        return {"StatusCode": 3}

    def remove(self, force: bool) -> None:
        self._look()
        self.removed = True


class Client:
    def __init__(self) -> None:
        self.started: list[Container] = []
        self.containers = self
        self.images = self

    def list(self) -> list[Any]:
        image = type("Image", (), {"tags": ["mimo-data:1"], "attrs": {"RepoDigests": []}})
        return [image]

    def create(self, auto_remove: bool = False, **_: Any) -> Container:
        self.started.append(Container(removed=auto_remove))
        return self.started[-1]

    run = create


def run_failing(client: Client) -> int:
    return docker_task_handler.run_docker_container(client, "mimo-data:1", ["false"], {}, network_mode="none")


def test_kfp_takes_a_failure_for_a_success_and_the_fix_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_codes.is_needed(), "this kfp keeps exit codes: pipelines/exit_codes.py can go"
    assert run_failing(Client()) == 0  # kubeflow/pipelines#13332
    client = Client()
    with exit_codes.keep_exit_codes():
        assert run_failing(client) == 3
    assert client.started[0].removed and "last" in capsys.readouterr().out
    assert run_failing(Client()) == 0  # kfp has its own function back


def test_a_kfp_that_keeps_them_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_docker_container(client: Any, image: str, command: list[str], volumes: dict[str, Any], **rest: Any) -> int:
        return 7  # without asking for removal

    monkeypatch.setattr(docker_task_handler, "run_docker_container", run_docker_container)
    assert not exit_codes.is_needed()
    with exit_codes.keep_exit_codes():
        assert run_failing(Client()) == 7


def test_a_container_is_removed_when_its_program_cannot_be_started() -> None:
    class Broken(Container):
        def start(self) -> None:
            raise docker.errors.APIError("no space left on device")

    client = Client()
    client.create = lambda **_: client.started.append(Broken(False)) or client.started[-1]  # type: ignore[method-assign]
    with exit_codes.keep_exit_codes(), pytest.raises(docker.errors.APIError):
        run_failing(client)
    assert client.started[0].removed
