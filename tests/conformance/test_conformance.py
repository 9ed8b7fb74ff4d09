"""Every check on every public block and layer."""

import inspect
from collections import defaultdict

import keras
import numpy as np
import pytest
from keras import layers

import deepkit as dk
from deepkit.testing.conformance import CHECKS, make_batch
from tests.conformance.cases import CASES, build

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_every_public_block_and_layer_has_a_case():
    covered = {name for case in CASES for name in case.covers.split()}
    blocks = {n for n in dk.__all__ if inspect.isclass(getattr(dk, n)) and issubclass(getattr(dk, n), dk.Block)}
    blocks -= {"Seq2Seq", "LanguageModel", "Captioner"}  # their examples contain texts: tests/models
    blocks -= {"TableEncoder"}  # its input is a mapping, and it must be adapted: tests/blocks/test_table_encoder.py
    assert covered == (blocks - {"Block"}) | set(dk.layers.__all__)


@pytest.mark.parametrize("name", CHECKS)
@each_case
def test_check(case, name, built):
    definition = case.definition()
    if case.trained_as_a_whole and name in ("gradients", "call", "mask"):
        pytest.skip("the model has its own training step, and cannot be part of another")
    if name == "call" and "Shared" in repr(definition):
        pytest.skip("only build can add a Shared")
    if name == "mask" and "layers.Masking(" in repr(definition):
        pytest.skip("the definition makes a mask itself")
    CHECKS[name](definition, case.shape, built(case), make_batch(case.shape))


def test_definitions_are_equal_if_and_only_if_their_code_is_equal():
    definitions = [case.definition() for case in CASES]
    by_code = defaultdict(list)
    for case, definition in zip(CASES, definitions, strict=True):
        by_code[repr(definition)].append(definition)
        by_code[repr(definition)].append(case.definition())
    for equal in by_code.values():
        assert all(definition == equal[0] for definition in equal)
    # a set compares each definition with those of its hash, and holds one of each class of equal ones
    assert len({*definitions}) == len(by_code)
    distinct = [equal[0] for equal in by_code.values()]
    for i, definition in enumerate(distinct):
        assert definition not in distinct[i + 1 :]


@each_case
def test_models_with_unknown_and_known_sizes_have_equal_outputs(case, built):
    if case.unknown is None:
        pytest.skip("needs known sizes")
    fixed, free = built(case), build(case, case.unknown)
    free.set_weights(fixed.get_weights())
    x = make_batch(case.shape)
    np.testing.assert_allclose(free(x), fixed(x), rtol=1e-5, atol=1e-5)
    assert np.all(np.isfinite(free(make_batch(case.unknown))))


@each_case
def test_outputs_in_float32_are_finite(case, built):
    model = built(case)
    assert all(weight.dtype == "float32" for weight in model.trainable_weights)
    assert np.all(np.isfinite(model(make_batch(case.shape))))


@each_case
def test_equal_seeds_give_equal_models_and_equal_random_draws(case):
    def outputs():
        keras.utils.set_random_seed(11)
        model, x = build(case), make_batch(case.shape)
        return np.asarray(model(x, training=False)), np.asarray(model(x, training=True))

    for first, second in zip(outputs(), outputs(), strict=True):
        np.testing.assert_array_equal(first, second)


REFUSED = (
    "conv_block_1d", "conv_stack_avg", "residual_pad_1d", "bottleneck_preactivation_groups", "transition_layers",
    "highway_body", "separable_1d", "autoencoder_any_size", "perceptron_alone",
)  # fmt: skip


@pytest.mark.parametrize("case", [case for case in CASES if len(case.shape) == 2], ids=lambda case: case.name)
def test_blocks_that_refuse_a_mask_and_blocks_that_keep_it(case):
    net = dk.Sequential([layers.Masking(), case.definition()])
    if case.name in REFUSED:
        with pytest.raises(dk.DefinitionError, match="mask"):
            net.build(case.shape)
    else:
        net.build(case.shape)
