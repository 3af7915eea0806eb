"""A network's layers as a list: the tensors they have, and their batch norms folded."""

import numpy as np

from odyssey.folding import fold_batch_norm
from odyssey.layers.listed import Layer, fold_layers, layer_shapes, statistic_shapes
from odyssey.ops.conv import PreparedKernel

LAYERS = [
    Layer("a", "an", (4, 3, 3, 3)),
    Layer("b", None, (5, 4, 1, 1), 2),
    Layer(None, "cn", (5,)),
]


def test_the_shapes_of_the_tensors():
    assert layer_shapes(LAYERS, biases=False) == {
        "a_kernel": (4, 3, 3, 3),
        "an_gamma": (4,),
        "an_beta": (4,),
        "b_kernel": (5, 4, 1, 1),
        "cn_gamma": (5,),
        "cn_beta": (5,),
    }
    with_biases = layer_shapes(LAYERS, biases=True)
    assert list(with_biases)[:3] == ["a_kernel", "a_bias", "an_gamma"]
    assert (with_biases["a_bias"], with_biases["b_bias"]) == ((4,), (5,))
    assert statistic_shapes(LAYERS) == {
        "an_running_mean": (4,),
        "an_running_var": (4,),
        "cn_running_mean": (5,),
        "cn_running_var": (5,),
    }


def test_folding_leaves_what_no_convolution_can_take():
    rng = np.random.default_rng(1)
    shapes = {**layer_shapes(LAYERS, biases=True), "fc_weights": (2, 5)}
    params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    del params["b_bias"]
    state = {n: rng.uniform(1, 2, s) for n, s in statistic_shapes(LAYERS).items()}
    folded = fold_layers(params, state, LAYERS)
    left = [f"cn_{kind}" for kind in ("gamma", "beta", "running_mean", "running_var")]
    assert sorted(folded) == sorted(
        ["fc_weights", "a_kernel", "a_bias", "b_kernel", *left]
    )
    for name in ("fc_weights", "cn_gamma", "cn_beta"):
        assert folded[name] is params[name]
    assert isinstance(folded["b_kernel"], PreparedKernel)
    np.testing.assert_array_equal(folded["b_kernel"].array, params["b_kernel"])
    assert folded["cn_running_var"] is state["cn_running_var"]
    kinds = ("gamma", "beta")
    statistics = ("running_mean", "running_var")
    kernel, bias = fold_batch_norm(
        params["a_kernel"],
        params["a_bias"],
        *(params[f"an_{kind}"] for kind in kinds),
        *(state[f"an_{kind}"] for kind in statistics),
    )
    np.testing.assert_array_equal(folded["a_kernel"].array, kernel)
    np.testing.assert_array_equal(folded["a_bias"], bias)
