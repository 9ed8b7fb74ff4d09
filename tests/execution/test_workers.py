"""Trainings on two worker processes on this machine: equal to one device, refused with a reason, killed and resumed."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deepkit.training import checkpoint
from tests.execution.test_cluster import free_addresses

PROGRAM = Path(__file__).with_name("worker_program.py")
ROOT = Path(__file__).parents[2]
SECONDS = 240  # after which a test fails rather than hang


class Workers:
    """Two processes of `worker_program.py`; leaving the context ends them."""

    def __init__(self, task, folder, **variables):
        self.addresses = free_addresses(2)
        self.processes, self.lines, self._readers = [], [[], []], []
        for index in range(2):
            task_config = {"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": index}}
            environment = {
                **os.environ, "TF_CONFIG": json.dumps(task_config), "DEEPKIT_CLUSTER_TIMEOUT": "120",
                "PYTHONPATH": str(ROOT), "TF_NUM_INTRAOP_THREADS": "1", "PYTHONWARNINGS": "ignore",
                **variables,
            }  # fmt: skip
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), task, str(folder)], env=environment, text=True, cwd=folder,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            self.processes.append(process)
            reader = threading.Thread(target=self._read, args=(index, process.stdout))
            reader.start()
            self._readers.append(reader)

    def _read(self, index, stream):
        with stream:
            for line in stream:
                self.lines[index].append(line.rstrip())

    def wait(self):
        """Return the exit codes."""
        codes = [process.wait(SECONDS) for process in self.processes]
        for reader in self._readers:
            reader.join()
        return codes

    def wait_for(self, index, text, stop):
        """Return after a worker has printed a line, or has ended."""
        while not any(text in line for line in self.lines[index]):
            if self.processes[index].poll() is not None or stop.wait(0.02):
                return

    def results(self):
        """Return the last line of each worker, parsed."""
        codes = self.wait()
        assert codes == [0, 0], "\n".join(self.lines[0][-15:] + self.lines[1][-15:])
        return [json.loads(lines[-1]) for lines in self.lines]

    def output(self, index):
        return "\n".join(self.lines[index])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()


@pytest.mark.slow
def test_two_workers_equal_one_device(tmp_path):
    with Workers("equal", tmp_path) as workers:
        results = workers.results()
    assert results[0] == results[1]
    assert set(results[0]) == {"classifier", "autoencoder", "vae", "gan"}
    for name, difference in results[0].items():
        assert difference["weights"] <= 1e-6, (name, difference)
        assert difference["history"] <= 1e-6, (name, difference)


@pytest.mark.slow
def test_what_workers_cannot_share_is_refused_on_all_of_them(tmp_path):
    with Workers("refused", tmp_path) as workers:
        results = workers.results()
        address = workers.addresses[1]
    for errors in results:
        assert errors["data"].startswith(
            f"worker 1 ({address}) differs from the chief:\n    data.fingerprint: the chief"
        )
        assert "2 workers cannot divide the batches of the list_iterator among them" in errors["generator"]
        assert f"is another folder on worker 1 ({address}) than on the chief" in errors["run_dir"]
        assert "a callback cannot evaluate a model while several workers train it" in errors["evaluate"]
        assert "could choose different plans" in errors["autotune"]
        assert "steps_per_execution=4 with 2 devices" in errors["devices"]
        # if one of these no longer fails, Keras has fixed it: simplify deepkit/training/replicated_fit.py
        assert "PerReplica" in errors["keras build"]
        assert "Invalid reduction dimension 0 for input with 0 dimensions" in errors["keras logs"]
    assert not list(tmp_path.glob("*/.deepkit-shared-*"))


@pytest.mark.slow
def test_all_workers_stop_after_the_epoch_in_which_one_wants_to(tmp_path):
    with Workers("stop", tmp_path) as workers:
        assert workers.results() == [{"epochs": 2}, {"epochs": 2}]


def interrupt(folder, index, number, epoch):
    """Start the training, send a signal to a worker during an epoch, and return the exit codes and the outputs."""
    with Workers("resume", folder) as workers:
        workers.wait_for(0, f"epoch {epoch}", threading.Event())
        with contextlib.suppress(ProcessLookupError):
            workers.processes[index].send_signal(number)
        codes = workers.wait()
        return codes, [workers.output(0), workers.output(1)], workers.addresses


def check_terminated(folder, epoch, step):
    """SIGTERM to one worker ends both after the same step; a chief under a scheduler receives it as well."""
    with Workers("resume", folder, SIGTERM_AT=f"{epoch} {step}") as workers:
        assert workers.wait() == [143, 143], workers.output(0)[-2000:] + workers.output(1)[-2000:]
        assert f"stopped by SIGTERM; step {step} of epoch {epoch} is saved in" in workers.output(0)
    assert checkpoint.load(folder / "run").partial_epoch.step == step


def check_killed_and_resumed(folder, moments, seed):
    draw = random.Random(seed)
    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    undisturbed.mkdir()
    disturbed.mkdir()
    with Workers("resume", undisturbed) as workers:
        expected = workers.results()
    epoch = 2
    check_terminated(disturbed, epoch, step=2)
    for moment in range(moments):
        epoch = draw.randint(epoch + 1, epoch + 24 // (moments + 1))
        index = moment % 2
        codes, outputs, addresses = interrupt(disturbed, index, signal.SIGKILL, epoch)
        assert codes[index] == -signal.SIGKILL, outputs[index][-2000:]
        assert codes[1 - index] == 1, outputs[1 - index][-2000:]
        lost = f"worker {index} ({addresses[index]}) stopped, or cannot be reached"
        assert lost in outputs[1 - index], outputs[1 - index][-2000:]
    with Workers("resume", disturbed) as workers:
        results = workers.results()
        epochs = [int(line.split()[1]) for line in workers.lines[0] if line.startswith("epoch ")]
        assert epochs == list(range(epochs[0], 25))
        assert epochs[0] in (epoch, epoch + 1)  # the signal may come before or after the checkpoint of the epoch
    assert results[0] == results[1]
    assert results[0]["epochs"] == expected[0]["epochs"] == 24
    assert results[0]["weights"] == pytest.approx(expected[0]["weights"], rel=1e-6)
    assert {path.name for path in (disturbed / "run").iterdir()} == {
        path.name for path in (undisturbed / "run").iterdir()
    }
    assert [path.name for path in disturbed.glob("best-*")] == ["best-0.keras"]


@pytest.mark.slow
def test_a_terminated_or_killed_worker_stops_the_others_and_the_same_command_resumes(tmp_path):
    check_killed_and_resumed(tmp_path, moments=3, seed=0)


@pytest.mark.thorough
def test_ten_killed_workers(tmp_path):
    check_killed_and_resumed(tmp_path, moments=10, seed=1)


@pytest.mark.slow
def test_a_computation_before_the_plan_is_an_error(tmp_path):
    with Workers("late", tmp_path) as workers:
        assert workers.wait() == [1, 1]
        for index in range(2):
            assert "TensorFlow cannot connect to other workers any more" in workers.output(index)
            assert "hint: call dk.plan() at the beginning of the program" in workers.output(index)
