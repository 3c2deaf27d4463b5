"""Operations whose value coremltools does not infer give what their definitions say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.mil_cases import CASES
from tests.support.mil_operations import Array, Case, compute_here, name_case, signed, within
from tinysr.runtime.mil.table import OPERATIONS

pytestmark = pytest.mark.usefixtures("one_thread")

X, Y = signed(2, 3, 4, 6), signed(2, 3, 4, 6)


def blocks(x: Array, r: int) -> Array:
    """Return ``[N, C, H, r, W, r]``, the pixels of each block of ``[N, C, r·H, r·W]``."""
    n, channels, height, width = x.shape
    return np.asarray(x.reshape(n, channels, height // r, r, width // r, r))


def scattered(data: Array, indices: Array, updates: Array) -> Array:
    result = data.copy()
    np.add.at(result, tuple(indices.T), updates)
    return result


def windows(x: Array, side: int) -> Array:
    """Return the pixels of all windows without gaps, ``[N, C, H/side, W/side, side²]``."""
    cut = blocks(x, side).transpose(0, 1, 2, 4, 3, 5)
    return np.asarray(cut.reshape(*cut.shape[:4], side * side))


def normed(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    centred = x - x.mean(axes, keepdims=True)
    return np.asarray(centred / np.sqrt(np.square(centred).mean(axes, keepdims=True) + epsilon))


def neighbours(x: Array, size: int) -> Array:
    """Return the sum of squares over ``size`` channels around each."""
    reach = size // 2
    padded = np.pad(np.square(x), [(0, 0), (reach, reach), (0, 0), (0, 0)])
    return np.asarray(np.sum([padded[:, i : i + x.shape[1]] for i in range(size)], axis=0))


def doubled(x: Array) -> Array:
    """Return a line at twice its length, half-pixel centres, linear between them."""
    places = ((np.arange(2 * len(x)) + 0.5) / 2 - 0.5).clip(0, len(x) - 1)
    return np.asarray(np.interp(places, np.arange(len(x)), x))


R = within(-1, 1, 1, 8, 4, 6)
LINE = within(-1, 1, 5)
INDICES, UPDATES, TABLE = np.array([[1], [4], [1]]), signed(3, 3), signed(5, 3)
SOME = np.array([3, 0, 2], np.int32)
DEALT = R.reshape(1, 8, 2, 2, 2, 3).transpose(3, 5, 0, 1, 2, 4).reshape(6, 8, 2, 2)
MEAN, VARIANCE = signed(8), within(0.1, 2, 8)
NORMED = (R - MEAN[:, None, None]) / np.sqrt(VARIANCE[:, None, None] + 1e-3)
KERNEL = signed(8, 1, 2, 2)

ELSEWHERE = {
    # tests of weights hold them against coremltools' own decompression
    *("constexpr_blockwise_shift_scale", "constexpr_lut_to_dense", "constexpr_lut_to_sparse"),
    *("constexpr_sparse_blockwise_shift_scale", "constexpr_sparse_to_dense"),
    # tests of architectures and of exported packages hold them against PyTorch
    *("conv", "resize", "scaled_dot_product_attention", "silu", "topk"),
}
"""Operations that other tests of the interpreter run."""


def defined(kind: str, expected: Array, **inputs: Any) -> tuple[str, Case, Array]:
    return kind, inputs, expected


DEFINED = [
    defined("batch_norm", NORMED, x=R, mean=MEAN, variance=VARIANCE, epsilon=1e-3),
    defined(
        "quantize",
        np.array([-128, 3, 5], np.float32),
        input=np.array([-90, 0.9, 2.1], np.float32),
        scale=np.float32(0.5),
        zero_point=np.int8(1),
        output_dtype="int8",
    ),
    defined(
        "concat", np.stack([X, Y], 2).reshape(2, 6, 4, 6), values=(X, Y), axis=1, interleave=True
    ),
    defined("cumsum", X.cumsum(1), x=X, axis=1),
    defined("one_hot", np.eye(4, dtype=np.float32)[SOME], indices=SOME, one_hot_vector_size=4),
    defined("gather_nd", X[[0, 1], [1, 2]], x=X, indices=np.array([[0, 1], [1, 2]])),
    defined(
        "scatter_nd",
        scattered(TABLE, INDICES, UPDATES),
        data=TABLE,
        indices=INDICES,
        updates=UPDATES,
        mode="add",
    ),
    defined("fill_like", np.full_like(X, 2), ref_tensor=X, value=np.float32(2)),
    defined("crop", X[:, :, 1:, 2:-1], x=X, crop_height=[1, 0], crop_width=[2, 1]),
    defined("sliding_windows", np.stack([LINE[:3], LINE[2:5]]), x=LINE, axis=0, size=3, stride=2),
    defined(
        "slice_update",
        np.concatenate([TABLE[:1], UPDATES, TABLE[4:]]),
        x=TABLE,
        update=UPDATES,
        begin=[1, 0],
        end=[4, 3],
    ),
    defined(
        "space_to_depth",
        blocks(R, 2).transpose(0, 3, 5, 1, 2, 4).reshape(1, 32, 2, 3),
        x=R,
        block_size=2,
    ),
    defined(
        "depth_to_space",
        R.reshape(1, 2, 2, 2, 4, 6).transpose(0, 3, 4, 1, 5, 2).reshape(1, 2, 8, 12),
        x=R,
        block_size=2,
    ),
    defined(
        "pixel_shuffle",
        R.reshape(1, 2, 2, 2, 4, 6).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 8, 12),
        x=R,
        upscale_factor=2,
    ),
    defined(
        "pixel_unshuffle",
        blocks(R, 2).transpose(0, 1, 3, 5, 2, 4).reshape(1, 32, 2, 3),
        x=R,
        downscale_factor=2,
    ),
    defined("space_to_batch", DEALT, x=R, block_shape=[2, 3], paddings=[0, 0, 0, 0]),
    defined("batch_to_space", R, x=DEALT, block_shape=[2, 3], crops=[0, 0, 0, 0]),
    defined("max_pool", windows(R, 2).max(-1), x=R, kernel_sizes=[2, 2], strides=[2, 2]),
    defined("avg_pool", windows(R, 2).mean(-1), x=R, kernel_sizes=[2, 2], strides=[2, 2]),
    defined(
        "l2_pool",
        np.sqrt(np.square(windows(R, 2)).sum(-1)),
        x=R,
        kernel_sizes=[2, 2],
        strides=[2, 2],
    ),
    defined("instance_norm", normed(R, (2, 3), 0.001), x=R, epsilon=0.001),
    defined("layer_norm", normed(R, (3,), 0.001), x=R, axes=[-1], epsilon=0.001),
    defined(
        "l2_norm",
        R / np.sqrt(np.square(R).sum((1, 2, 3), keepdims=True) + 1e-06),
        x=R,
        epsilon=1e-06,
    ),
    defined(
        "local_response_norm",
        R / (1 + 0.1 * neighbours(R, 3)) ** 0.75,
        x=R,
        size=3,
        alpha=0.3,
        beta=0.75,
        k=1.0,
    ),
    defined(
        "conv_transpose",
        np.einsum("nchw,coij->nohiwj", R, KERNEL).reshape(1, 1, 8, 12),
        x=R,
        weight=KERNEL,
        strides=[2, 2],
    ),
    defined(
        "resize_nearest_neighbor",
        R.repeat(2, 2).repeat(3, 3),
        x=R,
        target_size_height=8,
        target_size_width=18,
    ),
    defined(
        "upsample_nearest_neighbor",
        R.repeat(2, 2).repeat(3, 3),
        x=R,
        scale_factor_height=2,
        scale_factor_width=3,
    ),
    defined(
        "resize_bilinear",
        doubled(LINE).reshape(1, 1, 1, 10),
        x=LINE.reshape(1, 1, 1, 5),
        target_size_height=1,
        target_size_width=10,
        sampling_mode="UNALIGN_CORNERS",
    ),
    defined(
        "upsample_bilinear",
        doubled(LINE).reshape(1, 1, 1, 10),
        x=LINE.reshape(1, 1, 1, 5),
        scale_factor_width=2,
        align_corners=False,
    ),
    defined(
        "dequantize",
        np.array([0, -2], np.float32),
        input=np.array([1, -3], np.int8),
        scale=np.float32(0.5),
        zero_point=np.int8(1),
    ),
    defined(
        "constexpr_cast",
        X.astype(np.float16).astype(np.float32),
        source_val=X.astype(np.float16),
        output_dtype="fp32",
    ),
    defined(
        "constexpr_affine_dequantize",
        np.array([[-1, 0], [4, 8]], np.float32),
        quantized_data=np.array([[1, 3], [5, 7]], np.uint8),
        zero_point=np.uint8(3),
        scale=np.array([0.5, 2], np.float32),
        axis=0,
    ),
]


def test_every_operation_of_the_table_is_tried() -> None:
    tried = {name for name, _ in CASES} | {name for name, *_ in DEFINED} | ELSEWHERE
    assert set(OPERATIONS) == tried


@pytest.mark.parametrize(("kind", "inputs", "expected"), DEFINED, ids=name_case)
def test_an_operation_gives_what_its_definition_says(
    kind: str, inputs: Case, expected: Array
) -> None:
    (found,) = compute_here(kind, inputs)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
