"""The members of a `keras.Model` that a definition lacks, with the call that leads to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepkit.utils.errors import make_error

if TYPE_CHECKING:
    from deepkit.definition.protocol import Definition

_TRAINING = {
    "fit": "use dk.fit(net, x, y), or build and compile a model: model = net.build({shape}); model.compile(...)",
    "compile": "pass optimizer=, loss= and metrics= to dk.fit(net, x, y), or use net.build({shape}).compile(...)",
    "predict": "train it first: run = dk.fit(net, x, y), then run.predict(x)",
    "evaluate": "train it first: run = dk.fit(net, x, y), then run.evaluate(x, y)",
    "save": 'use dk.dump(net, "net.yaml") for the definition, or net.build({shape}).save("model.keras")',
    "train_on_batch": "use dk.fit(net, x, y), or build and compile a model: model = net.build({shape})",
    "test_on_batch": "train it first: run = dk.fit(net, x, y), then run.evaluate(x, y)",
    "predict_on_batch": "train it first: run = dk.fit(net, x, y), then run.predict(x)",
    "export": "use dk.export(net.build({shape}), path), after training dk.export(run.model, path)",
}
_MEMBERS = (
    "summary", "layers", "weights", "get_weights", "set_weights", "save_weights", "load_weights", "get_layer",
    "trainable_weights", "non_trainable_weights", "variables", "trainable_variables", "non_trainable_variables",
    "count_params", "input_shape", "output_shape", "to_json", "trainable", "optimizer", "metrics", "losses",
)  # fmt: skip


def missing_member(definition: Definition, name: str) -> Exception | None:
    """Return an `AttributeError` with a hint if a name is a member of Keras's models, else None."""
    cls: Any = type(definition)
    if (name not in _TRAINING and name not in _MEMBERS) or hasattr(cls, name) or name in cls.__dataclass_fields__:
        return None
    shape = "input_shape" if definition.input_spec() is None else ""
    hint = _TRAINING.get(name, f"build the model first: model = net.build({shape}), then model.{name}")
    problem = f"{cls.__name__} has no {name!r}: it is a definition without weights, not a keras.Model"
    return make_error(AttributeError, problem, hint=hint.format(shape=shape))
