"""`ModelBuilder`: the scikit-learn wrappers of Keras train a definition, in cross-validation and grid search too."""

import pickle

import keras
import numpy as np
import pytest
from keras import layers
from keras.wrappers import SKLearnClassifier, SKLearnRegressor
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import deepkit as dk
from deepkit.errors import LabelError

X = np.random.default_rng(0).normal(3, 2, (90, 4))
Y = np.arange(90) % 3
X[:, 0] += 9 * Y
NAMES = np.array(["rose", "aster", "tulip"])[Y]
QUIET = {"verbose": 0, "epochs": 20}


def make_net(units=8, num_classes=3):
    return dk.Sequential([layers.Normalization(), dk.MLP([units]), dk.Classifier(num_classes)])


def test_a_model_has_the_shape_of_the_data_and_the_loss_of_the_head():
    build = dk.ModelBuilder(make_net(), learning_rate=0.05)
    model = build(X=X, y=np.eye(3)[Y])
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 3))
    assert isinstance(model.loss, keras.losses.CategoricalCrossentropy)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    np.testing.assert_allclose(model(X.astype("float32")).numpy().sum(-1), 1, rtol=1e-5)  # probabilities
    np.testing.assert_allclose(model.layers[1].mean.numpy()[0], X.mean(0), rtol=1e-4)  # adapted to X
    assert build(X=X, y=np.eye(3)[Y]) is not model


def test_the_arguments_of_a_function_and_of_the_training_are_model_kwargs():
    build = pickle.loads(pickle.dumps(dk.ModelBuilder(make_net, optimizer="sgd")))
    model = build(X=X, y=np.eye(3)[Y], units=5, learning_rate=0.5)
    assert model.layers[2].units == 5
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert float(model.optimizer.learning_rate) == 0.5
    assert build.learning_rate is None


@pytest.mark.slow
def test_a_regressor_is_cross_validated_and_cloned():
    net = dk.Sequential([layers.Normalization(), dk.Regressor()])
    regressor = clone(SKLearnRegressor(dk.ModelBuilder(net, optimizer="sgd", learning_rate=0.1)))
    scores = cross_val_score(regressor, X, X[:, 0] + X[:, 1], cv=2, params=QUIET)
    assert min(scores) > 0.9


@pytest.mark.slow
def test_a_classifier_of_texts_is_cross_validated_in_a_pipeline():
    classifier = SKLearnClassifier(dk.ModelBuilder(dk.Sequential([dk.MLP([8]), dk.Classifier(3)]), learning_rate=0.05))
    pipeline = make_pipeline(StandardScaler(), classifier)
    params = {f"sklearnclassifier__{name}": value for name, value in QUIET.items()}
    folds = KFold(3, shuffle=True, random_state=0)
    assert min(cross_val_score(pipeline, X, NAMES, cv=folds, params=params)) > 0.8
    assert set(pipeline.fit(X, NAMES, **params).predict(X)) == set(NAMES)


@pytest.mark.slow
def test_a_grid_search_over_the_arguments_of_a_function():
    grid = {"model_kwargs": [{"units": 2, "learning_rate": 1e-6}, {"units": 16, "learning_rate": 0.05}]}
    search = GridSearchCV(SKLearnClassifier(dk.ModelBuilder(make_net)), grid, cv=2)
    search.fit(X, NAMES, **QUIET)
    assert search.best_params_ == {"model_kwargs": grid["model_kwargs"][1]}
    assert search.best_estimator_.score(X, NAMES) > 0.8


def test_a_row_of_logits_that_sums_to_zero_is_predicted():
    """Scikit-learn's encoder refuses such a row, which a classifier of two classes returns for inputs of 0."""
    classifier = SKLearnClassifier(dk.ModelBuilder(dk.Classifier(2)))
    classifier.fit(np.zeros((6, 3)), np.repeat(["no", "yes"], 3), epochs=1, verbose=0)
    assert set(classifier.predict(np.zeros((2, 3)))) <= {"no", "yes"}


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda: dk.ModelBuilder(3),
            TypeError,
            "net: expected a definition or a function that returns one, received 3",
        ),
        (
            lambda: dk.ModelBuilder(make_net, learning_rate=dk.OneCycle(0.1)),
            ValueError,
            "depends on the number of epochs, which is unknown\n  hint: pass a number or a schedule of keras",
        ),
        (
            lambda: dk.ModelBuilder(make_net())(X=X, y=np.eye(3)[Y], learning_rat=3),
            TypeError,
            "takes no 'learning_rat'; did you mean 'learning_rate'?\n  hint: pass a function that returns",
        ),
        (
            lambda: dk.ModelBuilder(lambda: 3)(X=X, y=Y),
            TypeError,
            "net: expected a function that returns a definition, received 3 from it",
        ),
        (
            lambda: dk.ModelBuilder(dk.Classifier(1))(X=X, y=np.eye(2)[Y % 2]),
            ValueError,
            "pass one-hot labels of two classes\n  hint: use dk.Classifier(2)",
        ),
        (
            lambda: dk.ModelBuilder(dk.Regressor(distribution="gaussian"))(X=X, y=X[:, :1]),
            ValueError,
            "predicts a distribution, but scikit-learn's regressors expect numbers",
        ),
        (
            lambda: dk.ModelBuilder(make_net, optimizer="adam")(X=X, y=np.eye(4)[Y]),
            LabelError,
            "hint: use dk.Classifier(4",
        ),
    ],
)
def test_definitions_and_arguments_that_do_not_fit_are_refused(make, kind, text):
    with pytest.raises(kind) as caught:
        make()
    assert text in str(caught.value)
