"""Inputs of operations whose values coremltools infers itself."""

from __future__ import annotations

import numpy as np

from tests.support.mil_operations import Array, Case, flags, signed, whole, within

X, Y = signed(2, 3, 4, 6), signed(2, 3, 4, 6)
EQUAL_HERE_AND_THERE = np.where(flags(2, 3, 4, 6), X, Y)
CHANNELS = within(0.2, 2, 3)

UNARY: dict[str, Array] = {
    **dict.fromkeys(
        ["abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "relu", "relu6"], X
    ),
    **dict.fromkeys(
        ["round", "sigmoid", "sign", "sin", "sinh", "softplus", "softsign", "square", "tanh"], X
    ),
    **dict.fromkeys(["acos", "asin", "atanh", "tan"], within(-0.9, 0.9, 3, 5)),
    **dict.fromkeys(["sqrt", "log", "rsqrt", "inverse"], within(0.1, 9, 3, 5)),
    "identity": X,
    "logical_not": flags(3, 5),
    "shape": X,
}

BINARY: dict[str, tuple[Array, Array]] = {
    **dict.fromkeys(["add", "maximum", "minimum", "mul", "real_div", "sub"], (X, Y[:, :1])),
    **dict.fromkeys(
        ["equal", "greater", "greater_equal", "less", "less_equal", "not_equal"],
        (X, EQUAL_HERE_AND_THERE),
    ),
    **dict.fromkeys(["logical_and", "logical_or", "logical_xor"], (flags(4, 5), flags(4, 5))),
    "floor_div": (whole(4, 5, top=20), within(1, 6, 4, 5).astype(np.int32)),
    "mod": (whole(4, 5, top=20), within(1, 6, 4, 5).astype(np.int32)),
    "pow": (within(0.2, 3, 4, 5), within(-2, 2, 4, 5)),
}

_REDUCTIONS = (
    *("reduce_l1_norm", "reduce_l2_norm", "reduce_max", "reduce_mean", "reduce_min"),
    *("reduce_prod", "reduce_sum", "reduce_sum_square", "reduce_log_sum_exp"),
)

CASES: list[tuple[str, Case]] = [
    *((name, {"x": x}) for name, x in UNARY.items()),
    *((name, {"x": x, "y": y}) for name, (x, y) in BINARY.items()),
    *((name, {"x": X, "axes": [1, -1], "keep_dims": True}) for name in _REDUCTIONS),
    *((name, {"x": X, "axes": [2], "keep_dims": False}) for name in _REDUCTIONS),
    ("reduce_log_sum", {"x": within(0.5, 3, 3, 4), "axes": [1], "keep_dims": False}),
    ("reduce_argmax", {"x": X, "axis": 2, "keep_dims": False}),
    ("reduce_argmin", {"x": X, "axis": -1, "keep_dims": True}),
    ("clamped_relu", {"x": X, "alpha": 0.3, "beta": 1.1}),
    ("elu", {"x": X, "alpha": 0.7}),
    ("gelu", {"x": X, "mode": "EXACT"}),
    ("gelu", {"x": X, "mode": "TANH_APPROXIMATION"}),
    ("gelu", {"x": X, "mode": "SIGMOID_APPROXIMATION"}),
    ("leaky_relu", {"x": X, "alpha": 0.2}),
    ("linear_activation", {"x": X, "alpha": 0.4, "beta": -0.3}),
    ("prelu", {"x": X, "alpha": CHANNELS}),
    ("scaled_tanh", {"x": X, "alpha": 1.4, "beta": 0.6}),
    ("sigmoid_hard", {"x": X, "alpha": 0.3, "beta": 0.4}),
    ("softplus_parametric", {"x": X, "alpha": CHANNELS, "beta": CHANNELS[::-1].copy()}),
    ("thresholded_relu", {"x": X, "alpha": 0.4}),
    ("softmax", {"x": X, "axis": 1}),
    ("clip", {"x": X, "alpha": -0.5, "beta": 0.8}),
    ("threshold", {"x": X, "alpha": 0.1}),
    ("cast", {"x": X, "dtype": "int32"}),
    ("select", {"cond": flags(2, 3, 4, 6), "a": X, "b": Y}),
    ("band_part", {"x": signed(5, 6), "lower": 1, "upper": 2}),
    ("band_part", {"x": signed(5, 6), "lower": -1, "upper": 0}),
    ("concat", {"values": (X, Y), "axis": 1, "interleave": False}),
    ("stack", {"values": (X, Y), "axis": 1}),
    ("expand_dims", {"x": X, "axes": [1, -1]}),
    ("squeeze", {"x": X[:1], "axes": [0]}),
    ("reshape", {"x": X, "shape": [6, -1]}),
    ("transpose", {"x": X, "perm": [0, 2, 3, 1]}),
    ("flatten2d", {"x": X, "axis": 2}),
    ("tile", {"x": X, "reps": [1, 2, 1, 3]}),
    ("reverse", {"x": X, "axes": [1, 3]}),
    ("fill", {"shape": [2, 3], "value": np.float32(0.7)}),
    ("range_1d", {"end": 9, "start": 2, "step": 3}),
    ("pad", {"x": X, "pad": [1, 2, 0, 3], "mode": "constant", "constant_val": 0.5}),
    ("pad", {"x": X, "pad": [1, 2, 2, 1], "mode": "reflect"}),
    ("pad", {"x": X, "pad": [1, 2, 0, 3], "mode": "replicate"}),
    ("argsort", {"x": signed(3, 7), "axis": 1, "ascending": True}),
    ("split", {"x": X, "split_sizes": [1, 3], "axis": 2}),
    ("split", {"x": X, "num_splits": 3, "axis": 3}),
    (
        "slice_by_index",
        {"x": X, "begin": [0, 1, 0, 5], "end": [2, 3, 4, 1], "stride": [1, 1, 2, -2]},
    ),
    (
        "slice_by_index",
        {
            **{"x": X, "begin": [0, 1, 1, 0], "end": [0, 0, 3, 4]},
            **{"begin_mask": [True, False, False, False], "end_mask": [True, True, False, False]},
            "squeeze_mask": [False, False, False, False],
        },
    ),
    ("slice_by_size", {"x": X, "begin": [0, 1, 0, 2], "size": [2, 2, -1, 3]}),
    ("gather", {"x": X, "indices": np.array([2, 0], np.int32), "axis": 1}),
    ("gather_along_axis", {"x": X, "indices": np.zeros((2, 1, 4, 6), np.int32), "axis": 1}),
    ("linear", {"x": signed(4, 6), "weight": signed(3, 6), "bias": signed(3)}),
    ("matmul", {"x": signed(2, 5, 4), "y": signed(2, 3, 4), "transpose_y": True}),
    ("einsum", {"values": (X, signed(2, 6, 4, 5)), "equation": "nchw,nwhu->nchu"}),
]
