from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import deepkit
from deepkit import recipe
from deepkit.cli import main as cli
from deepkit.recipe import Claim, command, discovery
from tests.recipe_fakes import Config, Trainer, fake

LOADED = "import sys; from deepkit.cli.main import main; code = main(sys.argv[1:]); "
LOADED += "print('loaded', sorted({'tensorflow', 'keras', 'tyro'} & set(sys.modules)), code)"


def shell(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TF_CPP", "DEEPKIT"))}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, env={**inherited, **environment}
    )


@pytest.fixture
def trainer(monkeypatch):
    """The one recipe that there is, without TensorFlow."""
    trainer = Trainer()
    recipe = fake(trainer)
    monkeypatch.setattr(discovery.RecipeEntry, "load", lambda self: recipe)
    monkeypatch.setattr(discovery, "entries", lambda: [discovery.RecipeEntry("fake", "mine.fake", "A fake.", 1843)])
    monkeypatch.setattr(cli, "quiet_tensorflow", lambda **_: None)
    monkeypatch.delenv("DEEPKIT_TRACEBACK", raising=False)
    return trainer


@pytest.mark.parametrize("words", [["--help"], [], ["--version"], ["list"]])
def test_help_list_and_version_import_no_tensorflow(words):
    done = shell("-c", LOADED, *words)
    assert "tensorflow" not in done.stdout.splitlines()[-1]
    assert "keras" not in done.stdout.splitlines()[-1]
    assert done.stdout.endswith("0\n")
    assert done.stderr == ""


def test_help_and_version_say_what_there_is(capsys):
    assert cli.main(["--help"]) == 0
    assert "deepkit run NAME [flags]" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"deepkit {deepkit.__version__}\n"


def test_the_list_shows_broken_entries_too(monkeypatch, capsys):
    every = [
        discovery.RecipeEntry("bad", "x", problem="no [source]"),
        discovery.RecipeEntry("good", "y", "It [shows].", 1998),
    ]
    monkeypatch.setattr(discovery, "entries", lambda: every)
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "cannot be used: no [source]" in shown
    assert "good    1998  It [shows]." in shown


def test_every_config_field_is_a_flag_with_its_help(trainer, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "fake", "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("deepkit run fake", "A Title", "--variant {old,new}", "Which of the two networks.", "--record",
                 "--distort, --no-distort", "Seed of the first repeat", "(default: 20)"):  # fmt: skip
        assert text in shown


def test_the_help_begins_with_the_recipe_and_its_own_settings(trainer, capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "fake", "--help"])
    shown = capsys.readouterr().out
    places = [
        shown.index(text) for text in ("A recipe that trains nothing", "A Title", "--variant", "--width", "--seed ")
    ]
    assert places == sorted(places)


def test_flags_become_the_config(trainer):
    assert cli.main(["run", "fake", "--variant", "old", "--seeds", "2", "--jit-compile", "False"]) == 0
    assert [c.seed for c in trainer.calls] == [0, 1]
    assert trainer.calls[0] == Config(variant="old", jit_compile=False)


def test_quick_shrinks_only_what_no_flag_gives(trainer):
    assert cli.main(["run", "fake", "--quick", "--epochs", "20"]) == 0
    (config,) = trainer.calls
    assert (config.quick, config.epochs, config.rate) == (True, 20, 0.5)


def test_quick_leaves_a_setting_that_follows_from_another_to_follow(trainer):
    assert cli.main(["run", "fake", "--quick", "--variant", "old"]) == 0
    assert trainer.calls[0].width == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["rnu"], "no command is called 'rnu'; did you mean run?"),
        (["run"], "usage: deepkit run NAME [flags], NAME being one of: fake"),
        (["run", "fakee"], "there is no recipe 'fakee'; did you mean fake?"),
        (["summary", "zzz"], "there is no recipe 'zzz'; the recipes are: fake"),
        (["run", "fake", "--varian", "old"], "--variant {old,new}"),
        (["run", "fake", "--epochs", "many"], "--epochs"),
        (["run", "fake", "--variant", "newest"], "--variant"),
        (["list", "--all"], "--all"),
        (["doctor", "--fix"], "--fix"),
    ],
)
def test_misuse_is_said_clearly_with_code_2(trainer, capsys, words, text):
    try:
        code = cli.main(words)
    except SystemExit as stop:  # from the flag parser
        code = stop.code
    shown = capsys.readouterr()
    assert code == 2
    assert text in shown.out + shown.err
    assert "Traceback" not in shown.err
    assert not trainer.calls


def fails_with(error):
    def train(config):
        raise error

    return fake(train)


@pytest.mark.parametrize("error", [ValueError("loss is NaN [at 3]"), OSError("disk full")])
def test_what_may_go_wrong_is_a_short_message(trainer, monkeypatch, capsys, error):
    monkeypatch.setattr(discovery.RecipeEntry, "load", lambda self: fails_with(error))
    assert cli.main(["run", "fake"]) == 1
    assert capsys.readouterr().err == f"{type(error).__name__}: {error}\n"


@pytest.mark.parametrize("how", ["flag", "variable", "bug"])
def test_a_traceback_on_request_and_for_bugs(trainer, monkeypatch, capsys, how):
    monkeypatch.setattr(
        discovery.RecipeEntry, "load", lambda self: fails_with(KeyError("x") if how == "bug" else ValueError("x"))
    )
    if how == "variable":
        monkeypatch.setenv("DEEPKIT_TRACEBACK", "1")
    assert cli.main(["run", "fake", *(["--traceback"] if how == "flag" else [])]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--run-dir", "runs/a b"], "To resume, run the same command: "),
        ([], "With --run-dir FOLDER a run can be resumed: "),
    ],
)
def test_ctrl_c_says_how_to_go_on(trainer, monkeypatch, capsys, words, text):
    monkeypatch.setattr(discovery.RecipeEntry, "load", lambda self: fails_with(KeyboardInterrupt()))
    assert cli.main(["run", "fake", *words]) == 130
    shown = capsys.readouterr().err
    assert text in shown
    assert "deepkit run fake" in shown
    assert "'runs/a b'" in shown or not words


def test_ctrl_c_in_a_command_without_a_run_folder_offers_none(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "doctor", interrupted)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err.strip() == "Interrupted. To run it again: deepkit doctor"


def test_ctrl_c_names_the_module_that_was_run(capsys):
    assert recipe.main(fails_with(KeyboardInterrupt()), ["--width", "3"]) == 130
    assert "python -m tests.test_cli --width 3 --run-dir runs/1" in capsys.readouterr().err


def test_negative_seeds_are_refused(trainer, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "fake", "--seeds", "0"])
    assert stop.value.code == 2
    assert "seeds must be a positive integer, received 0" in " ".join(capsys.readouterr().err.split())


def test_results_shows_writes_and_checks(trainer, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(discovery, "package_folder", lambda module: tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:begin -->\n<!-- results:end -->\n")
    assert cli.main(["results", "--package", "mine"]) == 0
    assert "not recorded yet" in capsys.readouterr().out
    assert cli.main(["results", "--package", "mine", "--check", str(readme)]) == 1
    assert cli.main(["results", "--package", "mine", "--write", str(readme)]) == 0
    assert cli.main(["results", "--package", "mine", "--check", str(readme)]) == 0
    assert cli.main(["results", "--page", "fake"]) == 0
    assert "# fake" in capsys.readouterr().out
    assert cli.main(["results", "--check", str(tmp_path / "gone.md")]) == 1


def test_tensorflows_start_up_lines_are_kept_from_the_screen():
    code = (
        "import os, sys; from deepkit.recipe.command import quiet_tensorflow; quiet_tensorflow(); "
        "import tensorflow as tf;"
        "tf.config.list_physical_devices(); print('still here', file=sys.stderr)"
    )
    done = shell("-c", code)
    assert (done.returncode, done.stderr) == (0, "still here\n")


def test_other_lines_on_standard_error_are_passed_on():
    code = (
        "import os; from deepkit.recipe import command\n"
        "with command._standard_error_filtered():\n"
        "    os.write(2, b'I0000 00:00:1 port.cc:153] oneDNN\\nE0000 00:00:1 x.cc:1] broken\\nplain\\n')\n"
    )
    assert shell("-c", code).stderr == "E0000 00:00:1 x.cc:1] broken\nplain\n"


def test_a_users_own_log_level_is_respected(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    command.quiet_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_a_recorded_run_from_the_command_line(trainer, tmp_path):
    path = tmp_path / "results.json"
    assert cli.main(["run", "fake", "--record", str(path)]) == 0
    assert list(json.loads(path.read_text())["results"]) == [
        "fake epochs=20 precision=auto variant=new distort=False rate=0.1 width=7"
    ]


def test_recorded_words_follow_the_recipe_and_numbers_stay(trainer, tmp_path, capsys, monkeypatch):
    path = tmp_path / "results.json"
    assert cli.main(["run", "fake", "--distort", "--seeds", "2", "--record", str(path)]) == 0
    before = json.loads(path.read_text())["results"]
    assert cli.main(["results", "--refresh", str(path)]) == 0
    assert "0 results have new words" in capsys.readouterr().out
    claim = Claim(metric="error", value=0.7, unit="points", where="p. 9", setting="now", when={"distort": True})
    monkeypatch.setattr(
        discovery.RecipeEntry, "load", lambda self: fake(trainer, claims=(claim,), deviations=("A new one.",))
    )
    assert cli.main(["results", "--refresh", str(path)]) == 0
    assert "deepkit run fake --seeds 2 --distort" in capsys.readouterr().out
    (record,), (old,) = json.loads(path.read_text())["results"].values(), before.values()
    assert [each["value"] for each in record["claims"]] == [0.7]
    assert (record["deviations"], record["units"]) == ({"1": "A new one."}, {"error": "points"})
    told = ("claims", "deviations", "units", "paper")
    assert {k: v for k, v in record.items() if k not in told} == {k: v for k, v in old.items() if k not in told}
