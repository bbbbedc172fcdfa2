"""Profiles: what is refused, and with which words."""

from pathlib import Path

import pytest

from components.config import ConfigError
from pipelines.dag import BASE, NODES, downstream, select
from pipelines.profile import load_profile, profile_names

FEW = ["problems", "rl", "rl_zero"]


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return _write


GOOD = """
seed = 7
[problems]
math = [{generator = "chain_sum"}]
math_train = 10
[rl]
learning_rate = 1e-5
reward = {cpu_s = 1.0, wall_s = 9.0}
[rl_zero]
iterations = 3
reward = {cpu_s = 3.0}
"""


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profiles_are_complete(name: str) -> None:
    profile = load_profile(name)
    assert list(profile.configs) == list(NODES)


def test_node_tables_lie_over_stage_tables_and_the_seed_reaches_everyone(write) -> None:
    configs = load_profile(write(GOOD), nodes=FEW).configs
    rl, rl_zero = configs["rl"].model_dump(), configs["rl_zero"].model_dump()
    assert (rl["learning_rate"], rl_zero["learning_rate"]) == (1e-5, 1e-5)
    assert rl["iterations"] != 3 and rl_zero["iterations"] == 3
    assert (rl["reward"]["cpu_s"], rl_zero["reward"]["cpu_s"], rl_zero["reward"]["wall_s"]) == (1.0, 3.0, 9.0)
    assert {config.model_dump()["seed"] for config in configs.values()} == {7}
    assert load_profile(write(GOOD), ["rl_zero.seed=1"], FEW).configs["rl"].model_dump()["seed"] == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text + "[pretrainig]\n", "pretrainig: unknown; did you mean pretraining?"),
        (lambda text: text.replace("learning_rate", "learning_rat"), "rl.learning_rat: unknown key"),
        (lambda text: text.replace("iterations = 3", "iterations = 0"), "rl_zero.iterations: "),
        (lambda text: text.replace("cpu_s = 1.0", "cpu_s = 'two'"), "rl.reward.cpu_s: "),
        (lambda text: text + "[rl]\nlearning_rate = 2e-5\n", "not valid TOML"),
        (lambda text: text.replace("iterations = 3", "iterations = 3\niterations = 4"), "not valid TOML"),
        (lambda text: text + "[images]\ntrian = 'x'\n", "images.trian: unknown; did you mean images.train?"),
        (lambda text: text + "[placement.rl]\naccelerators = 1\n", "placement of rl: accelerators without shared_mem"),
        (lambda text: text + "[placement.train]\nmemory = '12 GB'\n", "placement.train.memory: "),
        (lambda text: "problems = 3\n" + text.replace("[problems]", "[sft]"), "problems: a table is needed here"),
    ],
)
def test_wrong_profiles_are_refused_by_key(write, change, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_profile(write(change(GOOD)), nodes=FEW)
    assert message in str(refused.value)


def test_a_wrong_stage_value_is_told_once_for_all_its_nodes(write) -> None:
    with pytest.raises(ConfigError) as refused:
        load_profile(write(GOOD.replace("1e-5", "-1")), nodes=FEW)
    assert str(refused.value).count("rl.learning_rate") == 1


@pytest.mark.parametrize("override", ["rl.learning_rate", "=3", "rl..x=1", "rl.learning_rate.x=1", "nostage.x=1"])
def test_wrong_overrides_are_refused(write, override: str) -> None:
    with pytest.raises(ConfigError, match=r"rl|override|nostage"):
        load_profile(write(GOOD), [override], FEW)


def test_a_given_base_model_leaves_out_exactly_what_made_it() -> None:
    part = select(given={BASE: "/model"})
    gone = {"mixing", "pretraining_1", "pretraining_2", "pretraining_3", "mtp_tuning"}
    assert set(NODES) - set(part.nodes) == gone
    assert "mtp" not in part.nodes["publishing"].inputs
    assert set(select(given={"ingestion.pages": "/pages"}).nodes) == set(NODES) - {"ingestion"}


def test_a_cut_without_its_inputs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rl: its input model \(sft.model\) is neither made by this run nor given"):
        select(["rl"], {"curation.problems": "/problems"})
    with pytest.raises(ConfigError, match="no such output"):
        select(given={"sft.weights": "/x"})


def test_downstream_of_a_stage_is_what_depends_on_it() -> None:
    assert downstream(["rl"]) == {"rl", "evaluation_rl", "gate", "publishing"}
    assert "mtp_tuning" not in downstream(["sft"])
