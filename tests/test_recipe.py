from __future__ import annotations

import dataclasses
import datetime
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import deepkit as dk
from deepkit.recipe import Claim, Deviation, Paper, Settings, parameters, results, run
from deepkit.recipe.report import Measured, command_line, experiment_key, plain_config
from deepkit.utils.durations import format_duration
from tests.recipe_fakes import PAPER, Config, Trainer, fake

DAY = datetime.date(2020, 1, 2)


def recorded(path: Path, config: Config, trainer: Trainer | None = None) -> dict[str, dict]:
    report = run(fake(trainer), config)
    results.record(path, report, today=lambda: DAY)
    return results.load(path)


def test_importing_the_contract_imports_neither_tensorflow_nor_keras():
    code = (
        "import sys, deepkit.recipe, deepkit.cli.main, deepkit.recipe.results, deepkit.cli.doctor; "
        "print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_paper_is_cited_in_full_and_in_short():
    assert PAPER.cite() == ("Ada Lovelace, Charles Babbage, Mary Somerville (1843). A Title. A Journal, 1(2), 3-4.")
    assert PAPER.short() == "Lovelace et al. 1843"
    assert Paper("T", ("Ada Lovelace",), 1843, "V", "http://x").cite().endswith("V. http://x")


def test_claims_and_deviations_follow_the_config():
    recipe = fake()
    assert [c.value for c in recipe.claims_for(Config())] == [0.95]
    assert [c.value for c in recipe.claims_for(Config(distort=True))] == [0.8]
    assert list(recipe.deviations_for(Config())) == [1, 2, 3]
    assert list(recipe.deviations_for(Config(variant="old"))) == [1, 3]  # numbers stay


@pytest.mark.parametrize(
    ("declarations", "text"),
    [
        (
            {"deviations": (Deviation("x", {"variat": "new"}),)},
            r"recipe fake: Deviation\(when=...\) names unknown settings \['variat'\]\n"
            r"  hint: use fields of Config: .*, seeds, variant, width",
        ),
        (
            {"claims": (Claim(metric="error", value=1, where="p. 1", setting="s", when={"rat": 1}),)},
            r"recipe fake: Claim\(when=...\) names unknown settings \['rat'\]",
        ),
        (
            {"claims": (Claim(metric="errr", value=1, where="p. 1", setting="s"),)},
            r"recipe fake: the claim about 'errr' has no explanation in metrics=\n  hint: add 'errr' and its meaning",
        ),
    ],
)
def test_inconsistent_declarations_raise(declarations, text):
    with pytest.raises(ValueError, match=text):
        fake(**declarations)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("seeds", 0, "a positive integer"),
        ("epochs", 0, "a positive integer"),
        ("epochs", 2.0, "a positive integer"),
        ("seed", -1, "an integer of at least 0"),
    ],
)
def test_counts_out_of_range_raise(name, value, expected):
    with pytest.raises(ValueError, match=f"{name} must be {expected}, received {value}"):
        Config(**{name: value})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"variant": "oldd"}, "variant must be one of 'old', 'new', received 'oldd'; did you mean 'old'?"),
        ({"variant": None}, "variant must be one of 'old', 'new', received None"),
        ({"distort": "yes"}, "distort must be one of True, False, received 'yes'"),
        (
            {"jit_compile": "autom"},
            "jit_compile must be one of True, False, 'auto', received 'autom'; did you mean 'auto'?",
        ),
    ],
)
def test_unknown_choices_raise(settings, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        Config(**settings)


def test_a_default_that_follows_from_another_setting_is_resolved():
    assert (Config().width, Config(variant="old").width, Config(variant="old", width=9).width) == (7, 3, 9)
    assert Config(width=0).width == 0
    assert dataclasses.replace(Config(variant="old"), seed=1).width == 3


def test_parameters_counts_the_trainable_weights():
    weights = [types.SimpleNamespace(shape=shape) for shape in ((3, 4), (4,), ())]
    assert parameters(types.SimpleNamespace(trainable_weights=weights)) == 17.0


def test_smoke_replaces_the_settings_that_are_not_given():
    assert Config.smoke() == Config(quick=True, seeds=1, epochs=1, rate=0.5)
    assert Config.smoke(epochs=3).epochs == 3


def test_each_repeat_has_its_own_seed_and_folder(tmp_path):
    trainer = Trainer()
    run(fake(trainer, draw=None), Config(seed=5, seeds=3, run_dir=tmp_path))
    assert [c.seed for c in trainer.calls] == [5, 6, 7]
    assert [c.run_dir for c in trainer.calls] == [tmp_path / f"seed{n}" for n in (5, 6, 7)]
    assert all(c.seeds == 1 for c in trainer.calls)


def test_the_plan_of_a_config_has_its_settings():
    plan = Config(seed=9, precision="float32", devices="cpu", jit_compile=False).plan()
    assert (plan.seed, plan.precision, plan.jit_compile) == (9, "float32", False)


@pytest.fixture
def calls(monkeypatch):
    """Calls of `dk.fit` and `dk.autotune`, which do nothing: name, network, data and keyword arguments."""
    calls = []

    def recorder(name):
        def call(net, data, **kwargs):
            calls.append((name, net, data, kwargs))
            return f"the result of {name}"

        return call

    for name in ("fit", "autotune"):
        monkeypatch.setattr(dk, name, recorder(name), raising=False)
    return calls


def test_fit_passes_epochs_run_dir_and_plan(calls, tmp_path):
    config = Config(epochs=3, run_dir=tmp_path, seed=5)
    assert config.fit("net", "data", metrics=["accuracy"]) == "the result of fit"
    ((name, net, data, kwargs),) = calls
    assert (name, net, data) == ("fit", "net", "data")
    plan = kwargs.pop("plan")
    assert plan.choices() == config.plan().choices()
    assert kwargs == {"epochs": 3, "run_dir": tmp_path, "metrics": ["accuracy"]}


def test_arguments_of_fit_replace_settings(calls, tmp_path):
    config = Config(epochs=3, run_dir=tmp_path, autotune=True)
    config.fit("net", "data", epochs=7, run_dir=None, plan="a plan")
    ((name, _, _, kwargs),) = calls  # an explicit plan is not tuned
    assert (name, kwargs) == ("fit", {"epochs": 7, "run_dir": None, "plan": "a plan"})


def test_fit_tunes_the_plan_if_autotune_is_set(calls, tmp_path):
    config = Config(run_dir=tmp_path, autotune=True)
    config.fit("net", "data", loss="mse", batch_size=8, callbacks=[], run_dir=tmp_path / "first")
    (tuning, net, data, tuning_kwargs), (training, _, _, training_kwargs) = calls
    assert (tuning, net, data, training) == ("autotune", "net", "data", "fit")
    assert tuning_kwargs.pop("plan").choices() == config.plan().choices()
    assert tuning_kwargs == {"run_dir": tmp_path / "first", "loss": "mse", "batch_size": 8}
    assert training_kwargs["plan"] == "the result of autotune"
    assert (training_kwargs["callbacks"], training_kwargs["run_dir"]) == ([], tmp_path / "first")


@pytest.mark.parametrize(
    ("values", "unit", "text"),
    [
        ((0.80, 0.84, 0.85), "%", "0.830 ± 0.026 %"),
        ((0.8234567,), "%", "0.8235 %"),
        ((1.0, 0.0, 1.0), "runs", "2 of 3"),
        ((0.0, 0.0), "", "0 ± 0"),
        ((1.5e-16, 2.5e-16), "", "2e-16 ± 7e-17"),
        ((4.0, 4.0), "", "4 ± 0"),
        ((1000.0, 1400.0), "", "1,200 ± 283"),
        ((0.0,), "", "0"),
        ((61706.0,), "", "61,706"),
    ],
)
def test_measured_values_are_shown_with_their_significant_digits(values, unit, text):
    assert Measured(values).text(unit) == text


def test_durations_are_formatted():
    assert [format_duration(s) for s in (0.04, 75, 3700)] == ["0.0 s", "1 min 15 s", "1 h 1 min"]


def test_the_table_shows_measured_beside_claimed_values(capsys):
    run(fake(), Config(seeds=3))
    shown = capsys.readouterr().out
    for text in ("fake: Lovelace et al. 1843", "0.95 %", "Table 1, p. 5", "0.830 ± 0.026 %", "0.12 better"):
        assert text in shown
    assert "seed 1: error 0.84" in shown
    assert "deviation 2: ReLU, not tanh (p. 3)." in shown
    assert "data       MNIST" in shown
    assert "seeds      0, 1, 2" in shown
    assert "time       6.0 s" in shown
    assert "command    deepkit run fake --seeds 3" in shown
    assert "NOT" not in shown


def test_smoke_runs_and_stand_in_data_are_marked(capsys):
    run(fake(Trainer(comparable=False)), Config.smoke())
    shown = " ".join(capsys.readouterr().out.split())
    assert "SMOKE RUN, NOT A RESULT" in shown
    assert "NOT COMPARABLE WITH THE PAPER. Ran on bundled digits" in shown
    assert "better" not in shown
    assert "worse" not in shown


def test_a_quoted_claim_is_shown_without_a_difference(capsys):
    claim = Claim(metric="error", value="nearly [all] runs", where="p. 1", setting="s", note="why")
    run(fake(claims=(claim,)), Config())
    shown = capsys.readouterr().out
    assert "nearly [all]" in shown
    assert "claim      error, p. 1: s; why" in shown
    assert "better" not in shown


def test_the_command_line_leaves_out_defaults_and_paths():
    assert command_line("fake", Config(run_dir=Path("/x"), record=Path("y"))) == "deepkit run fake"
    assert command_line("fake", Config(distort=True, rate=0.2)) == "deepkit run fake --distort --rate 0.2"
    assert command_line("fake", Config.smoke(seed=2)) == "deepkit run fake --quick --seed 2"
    assert command_line("fake", Config(variant="old")) == "deepkit run fake --variant old"  # its width follows from it
    assert command_line("fake", Config(variant="old", width=7)) == "deepkit run fake --variant old --width 7"
    assert command_line("fake", Config(jit_compile=False)) == "deepkit run fake --jit-compile False"


def test_the_key_identifies_an_experiment_whatever_its_seeds_devices_and_paths():
    assert experiment_key("fake", Config()) == experiment_key(
        "fake", Config(seed=3, seeds=4, devices="cpu", run_dir=Path("x"))
    )
    assert len({experiment_key("fake", c) for c in (Config(), Config(rate=0.2), Config(precision="float32"))}) == 3
    assert experiment_key("fake", Config()) != experiment_key("fake", Config(), "stand-in")


def test_a_record_has_measurements_claims_and_provenance(tmp_path):
    (record,) = recorded(tmp_path / "results.json", Config(seeds=3)).values()
    assert record["command"] == "deepkit run fake --seeds 3"
    assert record["seeds"] == [0, 1, 2]
    assert record["metrics"]["error"]["values"] == [0.80, 0.84, 0.85]
    assert record["metrics"]["error"]["mean"] == pytest.approx(0.83)
    assert record["metrics"]["error"]["std"] == pytest.approx(0.02646, abs=1e-5)
    assert record["claims"][0]["where"] == "Table 1, p. 5"
    assert (record["data"], record["comparable"], record["date"]) == ("MNIST", True, "2020-01-02")
    assert record["seconds"] == [2.0, 2.0, 2.0]
    assert set(record["versions"]) == {"python", "tensorflow", "keras", "deepkit", "numpy"}
    assert set(record["hardware"]) == {"cpu", "cores", "memory", "gpu"}
    assert "run_dir" not in record["config"]
    assert record["deviations"]["2"] == "ReLU, not tanh (p. 3)."


def test_records_are_merged_by_experiment(tmp_path):
    path = tmp_path / "results.json"
    recorded(path, Config(seeds=2))
    recorded(path, Config(distort=True))
    records = recorded(path, Config(seeds=3))
    assert [len(record["seeds"]) for record in records.values()] == [3, 1]
    assert len(recorded(path, Config(), Trainer(comparable=False))) == 3  # stand-in data has its own record


def test_the_record_option_records_results_and_figures(tmp_path, capsys):
    path = tmp_path / "results.json"
    run(fake(), Config(record=path))
    (record,) = results.load(path).values()
    (figure,) = record["figures"].values()
    assert (tmp_path / figure).read_bytes().startswith(b"\x89PNG")
    assert f"recorded in {path}" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figures", "results.json"]  # no temporary files


def test_figures_are_written_to_the_run_directory(tmp_path):
    run(fake(), Config(run_dir=tmp_path))
    assert (tmp_path / "figure1.png").exists()


def test_a_smoke_run_with_record_raises_before_training(tmp_path):
    trainer = Trainer()
    with pytest.raises(ValueError, match=r"smoke run, not a result, and is not recorded\n  hint: leave out --quick or"):
        run(fake(trainer), Config.smoke(record=tmp_path / "results.json"))
    assert not trainer.calls


@pytest.mark.parametrize("content", ["{", '{"format": 1}', "[]", '{"format": 7, "results": {}}', "\x00"])
def test_a_file_that_is_not_a_results_file_is_left_unchanged(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content)
    trainer = Trainer()
    with pytest.raises(results.ResultsError, match=r"not a results file|has format 7, expected format 1"):
        run(fake(trainer), Config(record=path))
    assert path.read_text() == content
    assert not trainer.calls


def test_the_values_of_a_metric_are_on_one_line(tmp_path):
    path = tmp_path / "results.json"
    recorded(path, Config(seeds=3))
    assert '"values": [0.8, 0.84, 0.85]' in path.read_text()
    assert json.loads(path.read_text())["format"] == 1


def test_a_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderConfig(Settings):
    folder: Path | None = None


def test_a_folder_of_the_user_identifies_an_experiment_without_its_path(tmp_path):
    with_folder, without_folder = FolderConfig(folder=tmp_path, epochs=3), FolderConfig()
    assert command_line("reading", with_folder) == "deepkit run reading --epochs 3 --folder FOLDER"
    assert command_line("reading", without_folder) == "deepkit run reading"
    key = experiment_key("reading", with_folder)
    assert key != experiment_key("reading", without_folder)
    assert str(tmp_path) not in key + str(plain_config(with_folder))


def test_the_summary_is_that_of_the_module_and_not_of_the_class_of_modules(monkeypatch):
    module = sys.modules[fake().train.__module__]
    assert fake().summary == "A recipe that trains nothing, and the entry point that finds it."
    monkeypatch.delattr(module, "__doc__")
    assert fake().summary == ""
