"""The contracts under every stage: artifacts, configs, and the runner's reuse, resume and refusal."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from components import artifacts, registry
from components.artifacts import ArtifactError, describe_shard, open_artifact, write_link, write_manifest
from components.config import ConfigError, StageConfig, apply_override, build, digest, execution, parse_override
from components.registry import Stage
from components.runner import Outputs, Part, execute, execute_part


class Config(StageConfig):
    rows: int = Field(3, ge=1, description="lines to write")
    pause_s: float = execution(0.0, "seconds before each line")
    path: str = ""


class Doubler:
    """A stage of two lines: copies its input's numbers, doubled, one shard a number; counts its calls on disk."""

    @staticmethod
    def run(config: Config, inputs: dict, outputs: Outputs) -> None:
        directory = outputs.directory("documents")
        paths = [directory / f"part-{index}.txt" for index in range(config.rows)]
        for index, path in outputs.share(list(enumerate(paths))):
            if not path.exists():
                time.sleep(config.pause_s)
                artifacts.write_text(path, f"{2 * index}\n")
                with (outputs.work / "calls.txt").open("a") as file:
                    file.write("x")
            outputs.progress.update(index + 1, config.rows)
        outputs.end_share()
        shards = [describe_shard(directory, path, rows=1) for path in paths]
        calls = (outputs.work / "calls.txt").stat().st_size if (outputs.work / "calls.txt").exists() else 0
        outputs.metrics["calls"] = calls
        outputs.finish("documents", "documents", shards, {"rows": config.rows})


class FakeStage(Stage):
    @property
    def config_type(self):
        return Config

    @property
    def run(self):
        return Doubler.run


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> None:
    made = FakeStage("doubler", "components.data.doubler", "data", "doubles", outputs={"documents": "documents"},
                     inputs={"pages": "pages", "hint": "pages?"}, shared=True)
    monkeypatch.setitem(registry.STAGES, "doubler", made)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return _artifact(tmp_path / "pages", "pages", {"a.txt": b"one", "b.txt": b"two"})


def _artifact(directory: Path, kind: str, files: dict[str, bytes]) -> Path:
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    shards = [describe_shard(directory, directory / name) for name in files]
    write_manifest(directory, kind=kind, stage="test", shards=shards, totals={"n": len(files)},
                   config_digest=digest({}), parents={})
    return directory


def _bytes(directory: Path) -> dict[str, bytes]:
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*.*")}


def test_the_same_work_is_done_once(pages: Path, tmp_path: Path) -> None:
    first = execute("doubler", {"rows": 2}, {"pages": pages}, tmp_path / "store")
    again = execute("doubler", {"rows": 2, "pause_s": 5.0}, {"pages": pages}, tmp_path / "store")
    other = execute("doubler", {"rows": 3}, {"pages": pages}, tmp_path / "store")
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert again.directory == first.directory != other.directory
    assert first.metrics == {"calls": 2} and first.report.is_file()
    assert json.loads((first.directory / "config.json").read_text())["rows"] == 2
    assert not (first.directory / "work").exists()


def test_other_input_other_result(pages: Path, tmp_path: Path) -> None:
    first = execute("doubler", {}, {"pages": pages}, tmp_path / "store")
    other_pages = _artifact(tmp_path / "other", "pages", {"a.txt": b"one", "b.txt": b"TWO"})
    second = execute("doubler", {}, {"pages": other_pages}, tmp_path / "store")
    hinted = execute("doubler", {}, {"pages": pages, "hint": other_pages}, tmp_path / "store")
    assert len({first.directory, second.directory, hinted.directory}) == 3


def test_a_file_added_to_a_named_folder_is_new_input(pages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.html").write_text("a")
    run = lambda: execute("doubler", {"path": str(folder)}, {"pages": pages}, tmp_path / "store").reused   # noqa: E731
    assert (run(), run()) == (False, True)
    (folder / "b.html").write_text("b")
    assert (run(), run()) == (False, True)


def _run_slowly(store: str, pages: str) -> None:
    execute("doubler", {"rows": 40, "pause_s": 0.05}, {"pages": pages}, store)


def test_killed_at_any_instant_it_continues_to_the_same_bytes(pages: Path, tmp_path: Path) -> None:
    whole = execute("doubler", {"rows": 40}, {"pages": pages}, tmp_path / "uninterrupted")
    store = tmp_path / "store"
    context = multiprocessing.get_context("fork")   # the child must know the stage that only this test registers
    for delay in (0.1, 0.4, 0.7):
        child = context.Process(target=_run_slowly, args=(str(store), str(pages)))
        child.start()
        time.sleep(delay)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    done = list(store.glob("doubler/*.partial/documents/part-*.txt"))
    assert 0 < len(done) < 40
    resumed = execute("doubler", {"rows": 40}, {"pages": pages}, store)
    assert not resumed.reused
    assert _bytes(resumed.output("documents")) == _bytes(whole.output("documents"))
    assert resumed.metrics["calls"] <= 40 + 3   # only the shards in hand when it died were made again


def test_ranks_share_the_work_and_leave_no_trace_of_how_many_there_were(pages: Path, tmp_path: Path) -> None:
    whole = execute("doubler", {"rows": 7}, {"pages": pages}, tmp_path / "one")
    store = tmp_path / "store"
    for rank in (2, 0):   # rank 1 is lost
        assert execute_part("doubler", {"rows": 7}, {"pages": pages}, store, Part(rank, 3))
    (partial,) = store.glob("doubler/*.partial")
    assert sorted(path.name for path in partial.glob("documents/*")) == [f"part-{n}.txt" for n in (0, 2, 3, 5, 6)]
    (partial / "documents" / "part-9.txt.0.partial").write_text("half")   # of a killed process
    joined = execute("doubler", {"rows": 7}, {"pages": pages}, store)
    assert _bytes(joined.output("documents")) == _bytes(whole.output("documents"))
    assert joined.metrics == whole.metrics == {"calls": 7}, "no job was done twice"
    assert not execute_part("doubler", {"rows": 7}, {"pages": pages}, store, Part(1, 3)), "it is all there"


def test_ranks_are_checked(pages: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rank 3 of 3: ranks go from 0 to 2"):
        Part(3, 3)
    with pytest.raises(ConfigError, match="mixing: cannot be shared by 2 processes; these can: ingestion, extraction"):
        execute_part("mixing", {}, _mixing_inputs(tmp_path), tmp_path / "store", Part(0, 2))


def _mixing_inputs(root: Path) -> dict[str, Path]:
    return {name: _artifact(root / name, "documents", {"a": b"a"}) for name in ("documents", "synthetic")}


def test_a_damaged_result_is_made_again(pages: Path, tmp_path: Path) -> None:
    first = execute("doubler", {}, {"pages": pages}, tmp_path / "store")
    (first.output("documents") / "manifest.json").write_text("{}")
    assert not execute("doubler", {}, {"pages": pages}, tmp_path / "store").reused


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "b.txt").write_bytes(b"tw0"), r"b\.txt: sha256 differs"),
        (lambda path: (path / "b.txt").write_bytes(b"tw"), r"b\.txt: 2 bytes, the manifest says 3"),
        (lambda path: (path / "b.txt").unlink(), r"b\.txt: listed in the manifest but missing"),
        (lambda path: (path / "manifest.json").unlink(), "not an artifact"),
        (lambda path: _edit(path, "totals", {"n": 5}), "fingerprint does not match"),
        (lambda path: _edit(path, "schema_version", 99), "schema version 99"),
        (lambda path: (path / "manifest.json").write_text("{"), "not a manifest"),
    ],
)
def test_a_damaged_input_is_refused(pages: Path, tmp_path: Path, damage, message: str) -> None:
    damage(pages)
    with pytest.raises(ArtifactError, match=message):
        execute("doubler", {}, {"pages": pages}, tmp_path / "store")
    assert not list((tmp_path / "store").glob("doubler/*"))


def _edit(path: Path, key: str, value: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest[key] = value
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "config", "inputs", "message"),
    [
        ("nosuch", {}, {}, "no stage 'nosuch'"),
        ("doubler", {"rows": 0}, {"pages": "pages"}, r"doubler\.rows: Input should be greater"),
        ("doubler", {"row": 1}, {"pages": "pages"}, r"doubler\.row: unknown key; doubler knows: path, pause_s, rows"),
        ("doubler", {}, {}, r"input 'pages' \(pages\) is missing"),
        ("doubler", {}, {"pages": "pages", "page": "pages"}, "no input page"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(pages, tmp_path, name, config, inputs, message) -> None:
    with pytest.raises(ConfigError, match=message):
        execute(name, config, {key: tmp_path / folder for key, folder in inputs.items()}, tmp_path / "store")
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").rglob("*.partial"))


def test_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    tokens = _artifact(tmp_path / "tokens", "tokens", {"a.bin": b"1"})
    with pytest.raises(ArtifactError, match="holds 'tokens', 'pages' is needed"):
        execute("doubler", {}, {"pages": tokens}, tmp_path / "store")


def test_a_link_opens_what_it_points_at_and_notices_a_change(pages: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    write_link(link, pages)
    assert open_artifact(link).directory == pages.resolve()
    assert open_artifact(link).fingerprint == open_artifact(pages).fingerprint
    _artifact(tmp_path / "new", "pages", {"c.txt": b"3"})
    (pages / "manifest.json").write_bytes((tmp_path / "new" / "manifest.json").read_bytes())
    with pytest.raises(ArtifactError, match="now holds another artifact"):
        open_artifact(link)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=5), _json, max_size=4))
def test_a_digest_does_not_depend_on_order_and_tells_values_apart(values: dict) -> None:
    assert digest(values) == digest(dict(reversed(values.items())))
    assert digest(values) != digest({**values, "extra-key": 1})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), min_size=2, max_size=4), st.integers() | st.booleans())
def test_an_override_lands_where_it_says(path: list[str], value: int) -> None:
    tree: dict = {}
    apply_override(tree, *parse_override(f"{'.'.join(path)}={str(value).lower()}"))
    for key in path:
        tree = tree[key]
    assert tree == value and type(tree) is type(value)


def test_all_wrong_keys_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        build(Config, {"rows": "many", "colour": 1}, "doubler")
    assert len(str(refused.value).splitlines()) == 2
