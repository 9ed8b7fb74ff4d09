from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

import deepkit
import deepkit as dk
from deepkit import recipe
from deepkit.cli import main as cli
from deepkit.recipe import Claim, discovery
from deepkit.utils import machine, startup_messages
from deepkit.utils.startup_messages import without_startup_messages
from tests.recipe_fakes import Config, Trainer, fake

PRINT_IMPORTS = "import sys; from deepkit.cli.main import main; code = main(sys.argv[1:]); "
PRINT_IMPORTS += "print('loaded', sorted({'tensorflow', 'keras', 'tyro'} & set(sys.modules)), code)"


def run_python(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TF_CPP", "DEEPKIT"))}
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, check=False, env={**inherited, **environment}
    )


@pytest.fixture
def trainer(monkeypatch):
    """The only installed recipe, which does not use TensorFlow."""
    trainer = Trainer()
    recipe = fake(trainer)
    monkeypatch.setattr(discovery.RecipeEntry, "load", lambda self: recipe)
    monkeypatch.setattr(discovery, "entries", lambda: [discovery.RecipeEntry("fake", "mine.fake", "A fake.", 1843)])
    monkeypatch.setattr(cli, "quiet_tensorflow", lambda **_: None)
    monkeypatch.delenv("DEEPKIT_TRACEBACK", raising=False)
    return trainer


@pytest.mark.parametrize("args", [["--help"], [], ["--version"], ["list"]])
def test_help_list_and_version_do_not_import_tensorflow(args):
    process = run_python("-c", PRINT_IMPORTS, *args)
    assert "tensorflow" not in process.stdout.splitlines()[-1]
    assert "keras" not in process.stdout.splitlines()[-1]
    assert process.stdout.endswith("0\n")
    assert process.stderr == ""


def test_help_and_version(capsys):
    assert cli.main(["--help"]) == 0
    assert "deepkit run NAME [flags]" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"deepkit {deepkit.__version__}\n"


def test_list_shows_broken_recipes_too(monkeypatch, capsys):
    entries = [
        discovery.RecipeEntry("bad", "x", problem="no [source]"),
        discovery.RecipeEntry("good", "y", "It [shows].", 1998),
    ]
    monkeypatch.setattr(discovery, "entries", lambda: entries)
    assert cli.main(["list"]) == 0
    output = capsys.readouterr().out
    assert "cannot be loaded: no [source]" in output
    assert "good  1998  It [shows]." in output


def test_every_config_field_is_a_flag_with_its_help(trainer, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "fake", "--help"])
    assert stop.value.code == 0
    output = " ".join(capsys.readouterr().out.split())
    for text in ("deepkit run fake", "A Title", "--variant {old,new}", "Which of the two networks.", "--record",
                 "--distort, --no-distort", "Seed of the first repeat", "(default: 20)"):  # fmt: skip
        assert text in output


def test_the_help_shows_plain_types_and_no_empty_defaults(trainer, capsys):
    for args in (["build"], ["doctor"], ["results"], ["run", "fake"], ["summary", "fake"]):
        with pytest.raises(SystemExit):
            cli.main([*args, "--help"])
    output = " ".join(capsys.readouterr().out.split())
    assert "None" not in output
    assert "(default: )" not in output
    for text in ("--width INT", "--run-dir PATH", "--page STR", "--depth INT", "--input-shape [INT [INT ...]]"):
        assert text in output


def test_none_is_accepted_as_a_value_and_an_error_names_the_plain_type(trainer, capsys):
    assert cli.main(["run", "fake", "--width", "None", "--variant", "old"]) == 0
    assert trainer.calls[0].width == 3
    with pytest.raises(SystemExit):
        cli.main(["run", "fake", "--width", "wide"])
    assert "--width: expected an integer, received 'wide'" in " ".join(capsys.readouterr().err.split())


def test_the_help_begins_with_the_recipe_and_its_own_settings(trainer, capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "fake", "--help"])
    output = capsys.readouterr().out
    positions = [
        output.index(text) for text in ("A recipe that trains nothing", "A Title", "--variant", "--width", "--seed ")
    ]
    assert positions == sorted(positions)


def test_flags_become_the_config(trainer):
    assert cli.main(["run", "fake", "--variant", "old", "--seeds", "2", "--jit-compile", "False"]) == 0
    assert [c.seed for c in trainer.calls] == [0, 1]
    assert trainer.calls[0] == Config(variant="old", jit_compile=False)


def test_quick_changes_only_settings_without_a_flag(trainer):
    assert cli.main(["run", "fake", "--quick", "--epochs", "20"]) == 0
    (config,) = trainer.calls
    assert (config.quick, config.epochs, config.rate) == (True, 20, 0.5)


def test_quick_keeps_settings_that_depend_on_other_settings(trainer):
    assert cli.main(["run", "fake", "--quick", "--variant", "old"]) == 0
    assert trainer.calls[0].width == 3


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["rnu"], "unknown command 'rnu'; did you mean run?\n  hint: run deepkit --help"),
        (["fake"], "unknown command 'fake', which is the name of a recipe\n  hint: run deepkit run fake"),
        (["run"], "usage: deepkit run NAME [flags]\n\nNAME is one of: fake"),
        (["run", "fakee"], "there is no recipe 'fakee'; did you mean fake?"),
        (["summary", "zzz"], "there is no recipe 'zzz'; the recipes are: fake"),
        (["run", "fake", "--varian", "old"], "--variant {old,new}"),
        (["run", "fake", "--epochs", "many"], "--epochs: expected an integer, received 'many'"),
        (["run", "fake", "--rate", "fast"], "--rate: expected a number, received 'fast'"),
        (["run", "fake", "--variant", "newest"], "--variant"),
        (["list", "--all"], "--all"),
        (["doctor", "--fix"], "--fix"),
        (
            ["results", "--records", "fake"],
            "--records needs --redraw FILE or --mark-stale FILE, received neither\n  hint:",
        ),
        (["results", "--check", "a.md", "--reason", "x"], "--reason needs --mark-stale FILE, received --check"),
        (["results", "--redraw", "a.json", "--write", "a.md"], "expects one action, received --write, --redraw"),
    ],
)
def test_wrong_usage_prints_an_error_and_exits_with_2(trainer, capsys, args, text):
    try:
        code = cli.main(args)
    except SystemExit as stop:  # from the flag parser
        code = stop.code
    output = capsys.readouterr()
    assert code == 2
    assert text in output.out + output.err
    assert "Traceback" not in output.err
    assert not trainer.calls


def fails_with(error):
    def train(config):
        raise error

    return fake(train)


@pytest.mark.parametrize("error", [ValueError("loss is NaN [at 3]"), OSError("disk full")])
def test_an_expected_error_is_a_short_message(trainer, monkeypatch, capsys, error):
    monkeypatch.setattr(discovery.RecipeEntry, "load", lambda self: fails_with(error))
    assert cli.main(["run", "fake"]) == 1
    assert capsys.readouterr().err == f"{type(error).__name__}: {error}\n"


@pytest.mark.parametrize("reason", ["flag", "variable", "bug"])
def test_a_traceback_on_request_and_for_bugs(trainer, monkeypatch, capsys, reason):
    monkeypatch.setattr(
        discovery.RecipeEntry, "load", lambda self: fails_with(KeyError("x") if reason == "bug" else ValueError("x"))
    )
    if reason == "variable":
        monkeypatch.setenv("DEEPKIT_TRACEBACK", "1")
    assert cli.main(["run", "fake", *(["--traceback"] if reason == "flag" else [])]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--run-dir", "runs/a b"], "To resume, run the same command: "),
        ([], "With --run-dir FOLDER a run can be resumed: "),
    ],
)
def test_ctrl_c_prints_how_to_resume(trainer, monkeypatch, capsys, args, text):
    monkeypatch.setattr(discovery.RecipeEntry, "load", lambda self: fails_with(KeyboardInterrupt()))
    assert cli.main(["run", "fake", *args]) == 130
    output = capsys.readouterr().err
    assert text in output
    assert "deepkit run fake" in output
    assert "'runs/a b'" in output or not args


def test_ctrl_c_in_a_command_without_a_run_folder(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "doctor", interrupted)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err.strip() == "Interrupted. To run it again: deepkit doctor"


def test_ctrl_c_prints_the_module_of_the_recipe(capsys):
    assert recipe.main(fails_with(KeyboardInterrupt()), ["--width", "3"]) == 130
    assert "python -m tests.test_cli --width 3 --run-dir runs/1" in capsys.readouterr().err


def test_ctrl_c_prints_the_file_of_a_recipe_outside_of_a_package(monkeypatch, capsys):
    interrupted = fails_with(KeyboardInterrupt())
    monkeypatch.setattr(interrupted.train, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys, "argv", ["my recipe.py"])
    assert recipe.main(interrupted, ["--width", "3"]) == 130
    assert "python 'my recipe.py' --width 3 --run-dir runs/1" in capsys.readouterr().err


def test_the_number_of_seeds_must_be_positive(trainer, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "fake", "--seeds", "0"])
    assert stop.value.code == 2
    assert "seeds must be a positive integer, received 0" in " ".join(capsys.readouterr().err.split())


def test_results_prints_writes_and_checks(trainer, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(discovery, "package_folder", lambda module: tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:begin -->\n<!-- results:end -->\n")
    assert cli.main(["results", "--package", "mine"]) == 0
    assert "not recorded yet" in capsys.readouterr().out
    assert cli.main(["results", "--package", "mine", "--check", str(readme)]) == 1
    assert cli.main(["results", "--package", "mine", "--write", str(readme)]) == 0
    assert cli.main(["results", "--package", "mine", "--check", str(readme)]) == 0
    assert cli.main(["results", "--page", "fake"]) == 0
    assert "# A fake" in capsys.readouterr().out
    assert cli.main(["results", "--check", str(tmp_path / "gone.md")]) == 1


def test_start_up_messages_of_tensorflow_are_hidden_also_in_spawned_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "from deepkit.cli.main import main\n"
        "def work():\n"
        "    import tensorflow as tf\n"
        "    tf.config.list_physical_devices()\n"
        "    print('still here', file=sys.stderr)\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    process.start(), process.join()\n"
    )
    assert run_python(str(script), TF_CPP_MIN_LOG_LEVEL="0").stderr == "still here\n"


@pytest.fixture
def imported(monkeypatch):
    """The modules that `quiet_tensorflow` imports, in a process that has not imported TensorFlow."""
    modules = []
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("DEEPKIT_TRACEBACK", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(importlib, "import_module", modules.append)
    return modules


@pytest.mark.parametrize(
    ("has_card", "visible", "level"),
    [(False, "0", "3"), (True, None, "2"), (True, "0", "2"), (True, "", "3"), (True, "-1", "3")],
)
def test_errors_of_tensorflow_are_logged_if_a_card_is_used(imported, monkeypatch, has_card, visible, level):
    monkeypatch.setattr(machine, "has_card", lambda: has_card)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    startup_messages.quiet_tensorflow()
    assert imported == ["tensorflow"]
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == level


def test_with_a_traceback_the_log_level_of_the_user_is_respected(imported, monkeypatch):
    monkeypatch.setenv("DEEPKIT_TRACEBACK", "1")
    startup_messages.quiet_tensorflow()
    assert imported == []
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.parametrize(
    ("line", "is_printed"),
    [
        ("I0000 00:00:1 port.cc:153] oneDNN custom operations are on.", False),
        ("2025-11-29 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.", False),
        ("E0000 00:00:1 cuda_dnn.cc:8] Unable to register cuDNN factory: Attempting to register", False),
        ("E0000 00:00:1 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error", False),
        ("W0000 00:00:1 computation_placer.cc:177] computation placer already registered.", False),
        ("E0000 00:00:1 x.cc:1] broken", True),
        ("2025-11-29 10:00:00.123456: E tensorflow/x.cc:1] broken", True),
        ("UserWarning: a warning of the user's code", True),
    ],
)
def test_only_start_up_messages_are_dropped(capfd, line, is_printed):
    with without_startup_messages():
        os.write(2, f"{line}\n".encode())
    assert capfd.readouterr().err == (f"{line}\n" if is_printed else "")


def test_the_traceback_flag_reaches_the_command_and_the_variable_is_restored(monkeypatch):
    monkeypatch.delenv("DEEPKIT_TRACEBACK", raising=False)
    seen = []
    monkeypatch.setitem(cli.COMMANDS, "doctor", lambda args: seen.append((args, os.environ["DEEPKIT_TRACEBACK"])) or 0)
    assert cli.main(["doctor", "--traceback"]) == 0
    assert seen == [([], "1")]
    assert "DEEPKIT_TRACEBACK" not in os.environ


@pytest.mark.parametrize(
    "args",
    [
        ["build", "gone.yaml"],
        ["results", "--write", "gone.md"],
        ["results", "--check", "gone.md"],
        ["results", "--refresh", "gone.json"],
        ["results", "--mark-stale", "gone.json", "--records", "fake", "--reason", "x"],
    ],
)
def test_a_missing_file_is_an_error_of_one_line(monkeypatch, tmp_path, capsys, args):
    def imported(**_):
        raise AssertionError("TensorFlow was imported")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEEPKIT_TRACEBACK", raising=False)
    monkeypatch.setattr(cli, "quiet_tensorflow", imported)
    assert cli.main(args) == 1
    name = next(argument for argument in args if argument.startswith("gone"))
    assert capsys.readouterr().err == f"FileNotFoundError: there is no file {name}\n"


@pytest.fixture
def buildable(trainer, monkeypatch):
    """The installed recipe with a network, whose width is a setting."""
    recipe = fake(trainer, definition=lambda config: dk.Sequential([dk.MLP([config.width])], name="net"))
    monkeypatch.setattr(discovery.RecipeEntry, "load", lambda self: recipe)


@pytest.mark.parametrize("file", ["figures/net.svg", "net.png"])
def test_summary_draws_a_diagram(buildable, monkeypatch, tmp_path, capsys, file):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["summary", "fake", "--variant", "old", "--diagram", file]) == 0
    assert capsys.readouterr().out.endswith(f"9 parameters, 9 of them trainable\ndiagram: {file}\n")
    start = (tmp_path / file).read_bytes()[:8]
    assert start == b"\x89PNG\r\n\x1a\n" if file.endswith("png") else b"svg" in (tmp_path / file).read_bytes()


def test_summary_reports_that_a_diagram_is_replaced(buildable, tmp_path, capsys):
    path = tmp_path / "net.svg"
    path.write_text("mine")
    assert cli.main(["summary", "fake", "--quick", "--diagram", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"diagram: {path} (replaced)\n")
    assert "net" in path.read_text()


def test_summary_checks_the_suffix_of_a_diagram_before_it_builds(trainer, capsys):
    assert cli.main(["summary", "fake", "--diagram", "net.jpg"]) == 1
    output = capsys.readouterr()
    assert output.err == (
        "ValueError: expected a path that ends in .pdf, .png or .svg, received 'net.jpg'\n  hint: use 'net.svg'\n"
    )
    assert output.out == ""


def test_summary_without_a_diagram_writes_no_file(buildable, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["summary", "fake"]) == 0
    assert "21 parameters, 21 of them trainable\n" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_record_writes_a_results_file(trainer, tmp_path):
    path = tmp_path / "results.json"
    assert cli.main(["run", "fake", "--record", str(path)]) == 0
    assert list(json.loads(path.read_text())["results"]) == [
        "fake epochs=20 precision=auto variant=new distort=False rate=0.1 width=7"
    ]


def test_refresh_updates_claims_and_keeps_numbers(trainer, tmp_path, capsys, monkeypatch):
    path = tmp_path / "results.json"
    assert cli.main(["run", "fake", "--distort", "--seeds", "2", "--record", str(path)]) == 0
    before = json.loads(path.read_text())["results"]
    assert cli.main(["results", "--refresh", str(path)]) == 0
    assert "0 results updated" in capsys.readouterr().out
    claim = Claim(metric="error", value=0.7, unit="points", where="p. 9", setting="now", when={"distort": True})
    monkeypatch.setattr(
        discovery.RecipeEntry, "load", lambda self: fake(trainer, claims=(claim,), deviations=("A new one.",))
    )
    assert cli.main(["results", "--refresh", str(path)]) == 0
    assert "deepkit run fake --seeds 2 --distort" in capsys.readouterr().out
    (record,), (old,) = json.loads(path.read_text())["results"].values(), before.values()
    assert [each["value"] for each in record["claims"]] == [0.7]
    assert (record["deviations"], record["units"]) == ({"1": "A new one."}, {"error": "points"})
    updated = ("claims", "deviations", "units", "paper")
    assert {k: v for k, v in record.items() if k not in updated} == {k: v for k, v in old.items() if k not in updated}


def test_mark_stale_prints_the_commands_and_refresh_keeps_the_mark(trainer, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(discovery, "package_folder", lambda module: tmp_path)
    path = tmp_path / "results.json"
    assert cli.main(["run", "fake", "--record", str(path)]) == 0
    capsys.readouterr()
    mark = ["results", "--mark-stale", str(path), "--records", "fake"]
    assert cli.main([*mark, "--reason", "recorded with another optimizer"]) == 0
    assert capsys.readouterr().out == f"{path}: 1 results marked as stale\ndeepkit run fake\n"
    assert cli.main(["results", "--refresh", str(path)]) == 0
    assert cli.main(["results", "--package", "mine"]) == 0
    assert "† Stale, not recorded again yet: recorded with another optimizer." in capsys.readouterr().out
    assert cli.main(mark) == 1
    assert "a stale result needs a reason" in capsys.readouterr().err
