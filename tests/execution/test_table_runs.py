"""A run on a table: killed and resumed, loaded in another process, and exported."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import deepkit as dk

TRAIN = """
import os, signal, sys
import deepkit as dk, keras

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if os.environ.get("KILL_AT") == str(epoch):
            os.kill(os.getpid(), signal.SIGKILL)

    def get_state(self):
        return {}

    def set_state(self, state):
        pass

if __name__ == "__main__":
    folder, csv = sys.argv[1:]
    data = dk.data.from_table(csv, target="left", split="time", validation=0.2, verbose=False)
    net = dk.Sequential([dk.TableEncoder(max_one_hot=4, embedding_dim=2), dk.MLP([8]), dk.Classifier(2)])
    run = dk.fit(net, data, epochs=3, run_dir=folder, callbacks=[Kill()], verbose=0)
    print(run.resume)
"""
PREDICT = """
import json, sys
import deepkit, keras
import numpy as np

folder, rows = sys.argv[1:]
schema = deepkit.data.TableSchema.from_json(json.load(open(f"{folder}/../schema.json")))
model = keras.models.load_model(f"{folder}/model.keras")
np.save(f"{folder}/outputs.npy", model.predict(schema.convert(rows, verbose=False), verbose=0))
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return the path of a file with all kinds of columns, missing values, and a decimal comma."""
    rng = np.random.default_rng(5)
    lines = ["member;weight;club;active;since;remark;left"]
    for i in range(120):
        weight = "" if i % 11 == 0 else f"{rng.normal(75, 9):.1f}".replace(".", ",")
        active = ("yes", "no")[i % 2] if i % 13 else ""
        since = f"{1 + i % 28:02}.{1 + i % 12:02}.{2010 + i % 9} {i % 24:02}:30"
        remark = f"pays every {('week', 'month', 'year')[i % 3]} in {i % 40} parts"
        lines.append(f"{i + 1};{weight};club {i % 9};{active};{since};{remark};{'yes' if i % 5 == 0 else 'no'}")
    path = tmp_path_factory.mktemp("table") / "members.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def process(code, *arguments, **environment):
    """Run code in a process of its file, and return its result."""
    script = arguments[0].parent / "script.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_killed_run_on_a_table_resumes_exactly_and_its_model_loads_in_another_process(table, tmp_path):
    folder = tmp_path / "killed"
    assert process(TRAIN, folder, table, KILL_AT="2").returncode == -signal.SIGKILL
    done = process(TRAIN, folder, table)
    assert done.returncode == 0, done.stderr[-2000:]
    data = dk.data.from_table(table, target="left", split="time", validation=0.2, verbose=False)
    (tmp_path / "schema.json").write_text(json.dumps(data.columns.to_json()), encoding="utf-8")
    done = process(PREDICT, folder, table)
    assert done.returncode == 0, done.stderr[-2000:]
    net = dk.Sequential([dk.TableEncoder(max_one_hot=4, embedding_dim=2), dk.MLP([8]), dk.Classifier(2)])
    run = dk.fit(net, data, epochs=3, verbose=0)  # in this process, without an interruption and without a directory
    expected = run.model.predict(data.columns.convert(table, verbose=False), verbose=0)
    np.testing.assert_array_equal(np.load(folder / "outputs.npy"), expected)
    assert dk.export(run.model, tmp_path / "exported").path == tmp_path / "exported"
    with pytest.raises(dk.errors.ExportError, match=r"uses StringLower, .*which LiteRT does not support"):
        dk.export(run.model, tmp_path / "model.tflite", format="litert")
