from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from recipes.basics import vowels
from recipes.basics.vowels import Config

ROWS = "speaker,vowel,f1,f2\n1,i,240,2280\n1,3',370,1670\n2,u,260,1040\n"


def write(folder, text):
    (folder / vowels.FILE).write_text(text)
    return folder


def test_a_file_of_recordings(tmp_path):
    recordings = vowels.load_recordings(write(tmp_path, ROWS))
    assert recordings.formants.tolist() == [[240, 2280], [370, 1670], [260, 1040]]
    assert [list(vowels.EXAMPLE_WORDS.values())[vowel] for vowel in recordings.vowels] == ["heed", "heard", "who'd"]
    assert recordings.speakers.tolist() == [1, 1, 2]


def test_a_folder_without_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not contain peterson_barney_1952\.csv\n.*phonTools"):
        vowels.load_recordings(tmp_path)


def test_a_file_without_a_column(tmp_path):
    with pytest.raises(ValueError, match="expected the columns speaker, vowel, f1, f2, missing f2"):
        vowels.load_recordings(write(tmp_path, ROWS.replace("f2", "F2")))
    with pytest.raises(ValueError, match="missing speaker, vowel, f1, f2"):
        vowels.load_recordings(write(tmp_path, ""))


def test_a_vowel_in_another_notation(tmp_path):
    with pytest.raises(ValueError, match=r"received iy\n.*X-SAMPA"):
        vowels.load_recordings(write(tmp_path, ROWS.replace("1,i,", "1,iy,")))


def test_generated_recordings_are_those_of_76_speakers():
    recordings = vowels.generate_recordings()
    assert recordings.formants.shape == (1520, 2)
    speakers, counts = np.unique(recordings.speakers, return_counts=True)
    assert len(speakers) == 76
    assert set(counts) == {20}
    men = recordings.speakers < 33
    mean = recordings.formants[men & (recordings.vowels == 0)].mean(0)
    np.testing.assert_allclose(mean, vowels.MEN["i"], rtol=0.03)


def test_test_speakers_are_not_trained_with(monkeypatch):
    seen = []

    def minimize(model, loss, x, y, *, steps, learning_rate):
        seen.append(np.unique(x, axis=0))
        return 0.0

    monkeypatch.setattr(vowels, "minimize", minimize)
    result = vowels.train(Config(seed=3))
    recordings = vowels.generate_recordings()
    is_train = (recordings.formants[:, None] == seen[0][None]).all(-1).any(1)
    shares = [is_train[recordings.speakers == speaker].mean() for speaker in range(76)]
    assert sorted(shares) == [0.0] * 19 + [1.0] * 57
    assert not result.comparable


def test_the_networks_have_as_many_weights_as_their_layers():
    trainable = [sum(np.size(w) for w in vowels.network(n).build((2,)).trainable_weights) for n in (None, 20)]
    assert trainable == [30, 60 + 210]


@pytest.mark.slow
def test_a_hidden_layer_helps_sigmoid_outputs_more_than_a_softmax():
    result = vowels.train(Config())
    assert result.measured["sigmoid, gain"] > 3
    assert result.measured["softmax, gain"] < result.measured["sigmoid, gain"]
    (figure,) = vowels.draw_curves(Config(), [result, result]).values()
    assert [axes.get_title() for axes in figure.axes] == ["sigmoid outputs", "softmax outputs"]
    (regions,) = vowels.draw(Config(), [result]).values()
    assert regions.axes[0].get_xlabel() == "first formant F1 (Hz)"


@pytest.mark.skipif("DEEPKIT_TEST_DATA" not in os.environ, reason="needs the recordings of the paper")
def test_the_linear_softmax_of_the_paper_recordings_is_trained_to_its_optimum():
    from sklearn.linear_model import LogisticRegression

    folder = Path(os.environ["DEEPKIT_TEST_DATA"]) / "vowels"
    recordings = vowels.load_recordings(folder)
    assert recordings.formants.shape == (1520, 2)
    model = vowels.network().build((2,))
    one_hot = np.eye(10, dtype="float32")[recordings.vowels]
    loss = vowels.minimize(model, vowels.LOSSES["softmax"], recordings.formants, one_hot, steps=3000, learning_rate=0.3)
    scaled = (recordings.formants.astype("float64") - [550, 1500]) / [200, 600]
    optimum = LogisticRegression(C=np.inf, max_iter=5000, tol=1e-8).fit(scaled, recordings.vowels)
    log_probabilities = optimum.predict_log_proba(scaled)[np.arange(1520), recordings.vowels]
    assert loss == pytest.approx(-log_probabilities.mean(), abs=1e-3)
