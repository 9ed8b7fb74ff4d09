"""`deepkit launch` with programs that do not import TensorFlow, and the checks of `deepkit doctor --cluster`."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from deepkit.cli import cluster_doctor, launch
from deepkit.cli.main import main
from deepkit.recipe.command import UsageError

READ_CONFIG = """
config = json.loads(os.environ["TF_CONFIG"])
index = config["task"]["index"]
"""


@pytest.fixture
def program(tmp_path):
    """Return a function that writes a script and returns its path."""

    def write(code):
        path = tmp_path / "program.py"
        path.write_text("import json, os, signal, sys, time\n" + READ_CONFIG + textwrap.dedent(code))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("args", "launch_flags", "command"),
    [
        (["--workers", "3", "run", "lenet", "--quick"], ["--workers", "3"], ["run", "lenet", "--quick"]),
        (["--workers=3", "train.py", "--epochs", "2"], ["--workers=3"], ["train.py", "--epochs", "2"]),
        (["run", "lenet"], [], ["run", "lenet"]),
        (["--help"], ["--help"], []),
    ],
)
def test_the_flags_of_launch_come_before_the_command(args, launch_flags, command):
    assert launch.split_arguments(args) == (launch_flags, command)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ([], "usage: deepkit launch"),
        (["--workers", "2"], "usage: deepkit launch"),
        (["--workers", "0", "run", "lenet"], "--workers 0: expected a positive number"),
        (["--index", "1", "run", "lenet"], "--index needs --hosts"),
        (["--hosts", "a:1,b:1", "run", "lenet"], "--hosts needs --index"),
        (["train"], "expected `run NAME`, `doctor --cluster` or a Python script, received 'train'"),
        (["missing.py"], "received 'missing.py'"),
    ],
)
def test_a_wrong_command_line_is_an_error(args, text):
    with pytest.raises(UsageError) as caught:
        launch.run(args)
    assert text in str(caught.value)
    assert "\n  hint: " in str(caught.value)


def test_an_invalid_address_is_an_error(capsys):
    assert main(["launch", "--hosts", "a,b", "--index", "0", "run", "lenet"]) == 1
    assert "--hosts: expected addresses host:port, received 'a'" in capsys.readouterr().err


def test_each_worker_has_its_own_task_and_shares_the_addresses(program, tmp_path, capfd):
    path = program('print("threads", os.environ["TF_NUM_INTRAOP_THREADS"])\n'
                   'open(f"{sys.argv[1]}/{index}", "w").write(json.dumps(config["cluster"]))')  # fmt: skip
    assert launch.run(["--workers", "3", path, str(tmp_path)]) == 0
    clusters = [json.loads((tmp_path / str(index)).read_text()) for index in range(3)]
    assert clusters[0] == clusters[1] == clusters[2]
    assert len(set(clusters[0]["worker"])) == 3
    lines = sorted(capfd.readouterr().out.splitlines())
    threads = f"threads {max(1, os.cpu_count() // 3)}"
    assert lines == [threads, f"worker 1: {threads}", f"worker 2: {threads}"]


def test_one_host_is_one_worker(program, capfd):
    path = program('print(index, config["cluster"]["worker"]); sys.exit(5)')
    assert launch.run(["--hosts", "host0:2222,host1:2222", "--index", "1", path]) == 5
    assert capfd.readouterr().out == "1 ['host0:2222', 'host1:2222']\n"


@pytest.mark.parametrize("failing", [0, 1])
def test_the_exit_code_is_that_of_the_first_worker_that_fails(program, failing):
    code = f"time.sleep(0 if index == {failing} else 3)\nsys.exit(143 if index == {failing} else 1)"
    assert launch.run([program(code)]) == 143


def test_a_killed_worker_ends_the_others_after_the_grace_period(program, monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "_GRACE_SECONDS", 0.5)
    code = """
    open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    """
    start = time.monotonic()
    assert launch.run([program(code), str(tmp_path)]) == 137
    assert time.monotonic() - start < 20
    for path in tmp_path.glob("[0-9]*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def test_sigterm_reaches_all_workers(program, tmp_path):
    code = """
    def stop(number, frame):
        open(f"{sys.argv[1]}/{index}", "w").close()
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    time.sleep(60)
    """
    launcher = "import sys; from deepkit.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", launcher, "launch", program(code), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            assert "ready" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert sorted(path.name for path in tmp_path.glob("[01]")) == ["0", "1"]


def test_the_doctor_needs_a_cluster(monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert main(["doctor", "--cluster"]) == 1
    output = capsys.readouterr().out
    assert "cluster: this process is alone" in output
    assert "hint: use deepkit launch, srun or TF_CONFIG" in output


def test_the_doctor_reports_a_missing_worker(monkeypatch):
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": ["localhost:1", "localhost:45671"]}, "task": task})
    )
    monkeypatch.setenv("DEEPKIT_CLUSTER_TIMEOUT", "0.5")
    (result,) = cluster_doctor.check_cluster(None)
    assert (result.name, result.status) == ("cluster", "fail")
    assert "cannot reach the chief, worker 0 (localhost:1)" in result.message


@pytest.mark.slow
def test_the_doctor_checks_two_workers(tmp_path, capfd):
    assert main(["launch", "--workers", "2", "doctor", "--cluster", "--run-dir", str(tmp_path)]) == 0
    output = capfd.readouterr().out
    for name in ("cluster", "versions", "clocks", "shared folder", "sum over workers"):
        assert f"ok   {name}: " in output
        assert f"worker 1: ok   {name}: " in output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_recipe_runs_on_two_workers(tmp_path, capfd):
    assert main(["launch", "--workers", "2", "run", "lenet", "--quick", "--run-dir", str(tmp_path / "run")]) == 0
    output = capfd.readouterr().out
    assert "parameters" in output
    assert "worker 1: lenet" not in output  # only the chief prints
    assert (tmp_path / "run" / "seed0" / "report.html").exists()
