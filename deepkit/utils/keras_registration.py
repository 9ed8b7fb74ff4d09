"""Register deepkit's classes with Keras by name, so that Keras loads every saved model after `import deepkit`.

`import deepkit` imports neither Keras nor the classes. Keras's registry therefore receives a stand-in for each class,
which imports the class when Keras restores one; the import of the class replaces the stand-in. If Keras is not imported
yet, an import hook registers the stand-ins when it is.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

PACKAGE = "deepkit"  # of the registered names, such as "deepkit>Maxout"

CLASS_MODULES = {
    "ActorCriticModel": "deepkit.models.actor_critic",
    "AutoregressiveLanguageModel": "deepkit.models.language_model",
    "ChannelMax": "deepkit.layers.maxout",
    "DateFeatures": "deepkit.layers.date_features",
    "DeepBeliefNetwork": "deepkit.models.dbn",
    "DeepQNetwork": "deepkit.models.dqn",
    "FanInUniform": "deepkit.layers.initializers",
    "FullBoltzmannMachine": "deepkit.models.boltzmann",
    "GaussianNegativeLogLikelihood": "deepkit.losses.gaussian_likelihood",
    "GaussianSampling": "deepkit.layers.gaussian_sampling",
    "GenerativeAdversarialNetwork": "deepkit.models.gan",
    "HardAttention": "deepkit.layers.hard_attention",
    "HelmholtzMachineModel": "deepkit.models.helmholtz_machine",
    "HopfieldNetwork": "deepkit.models.hopfield",
    "ImageCaptioner": "deepkit.models.captioner",
    "Glimpse": "deepkit.layers.glimpse",
    "ImputedNormalization": "deepkit.layers.imputed_normalization",
    "L2Pooling": "deepkit.layers.l2_pooling",
    "LocalResponseNormalization": "deepkit.layers.local_response",
    "MaskedMerge": "deepkit.layers.masked_merge",
    "MaskedPooling1D": "deepkit.layers.masked_pooling",
    "MaskingNoise": "deepkit.layers.noise",
    "Maxout": "deepkit.layers.maxout",
    "MeanAndStddev": "deepkit.layers.mean_and_stddev",
    "MetricOfMean": "deepkit.losses.metric_of_mean",
    "MovingBaseline": "deepkit.losses.moving_baseline",
    "MulticlassHinge": "deepkit.losses.multiclass_hinge",
    "MultiHeadCrossAttention": "deepkit.layers.cross_attention",
    "PerStepSchedule": "deepkit.models.keras_schedules",
    "PerUpdateSchedule": "deepkit.models.keras_schedules",
    "PerceptronModel": "deepkit.models.perceptron",
    "PolarFeatures": "deepkit.layers.polar_features",
    "PositionEmbedding": "deepkit.layers.position_embedding",
    "QuadraticFeatures": "deepkit.layers.quadratic_features",
    "RBF": "deepkit.layers.rbf",
    "RecurrentAttentionModel": "deepkit.models.recurrent_attention",
    "ReinforceModel": "deepkit.models.reinforce",
    "Rematerialized": "deepkit.definition.rematerialization",
    "RestrictedBoltzmannMachine": "deepkit.models.rbm",
    "SaltAndPepperNoise": "deepkit.layers.noise",
    "SequenceToSequence": "deepkit.models.seq2seq",
    "SmoothedCrossentropy": "deepkit.losses.smoothed_crossentropy",
    "StochasticDepth": "deepkit.layers.stochastic_depth",
    "Subsampling2D": "deepkit.layers.subsampling",
    "TableConv2D": "deepkit.layers.table_conv",
    "Threshold": "deepkit.layers.threshold",
    "TiedConv": "deepkit.layers.tied_conv",
    "TiedDense": "deepkit.layers.tied_dense",
    "TokenIds": "deepkit.layers.token_ids",
    "UnrolledBidirectional": "deepkit.layers.unrolled_bidirectional",
    "VariationalAutoencoder": "deepkit.models.vae",
    "WarmUpSchedule": "deepkit.models.keras_schedules",
    "WeightedAveragePooling": "deepkit.layers.weighted_pooling",
}
"""The module of each registered class."""

FUNCTION_MODULES = {"scaled_tanh": "deepkit.layers.squash"}
"""The module of each registered function."""


def register_classes() -> None:
    """Register all classes and functions, now if Keras is imported, else when it is."""
    keras = sys.modules.get("keras")
    if keras is None:
        sys.meta_path.insert(0, _KerasFinder())
    else:
        _register(keras)


def _register(keras: Any) -> None:
    registry = keras.saving.get_custom_objects()
    for name, module in CLASS_MODULES.items():
        registry.setdefault(f"{PACKAGE}>{name}", _class_stand_in(name, module))
    for name, module in FUNCTION_MODULES.items():
        if f"{PACKAGE}>{name}" not in registry:
            keras.saving.register_keras_serializable(PACKAGE, name)(_function_stand_in(name, module))


def _class_stand_in(name: str, module: str) -> type:
    """Return a class whose `from_config` imports the class and creates an instance of it."""

    def from_config(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name).from_config(*args, **kwargs)

    return type(name, (), {"__module__": module, "from_config": staticmethod(from_config)})


def _function_stand_in(name: str, module: str) -> Callable[..., Any]:
    """Return a function that imports the function and calls it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = module
    return call


class _KerasFinder(MetaPathFinder):
    """An import hook that registers the classes after the first import of Keras, and then removes itself."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        if fullname != "keras":
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                self._extend(spec.loader)
                return spec
        return None

    def _extend(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            with contextlib.suppress(ValueError):  # another thread removed it
                sys.meta_path.remove(self)
            _register(module)

        with contextlib.suppress(AttributeError):  # a loader without instance attributes
            loader.exec_module = exec_module
