"""Passes over PiSA-SR and OSEDiff: constants of their stages, folded into convolutions."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tinysr.models.families.stable_diffusion import StableDiffusionSr
from tinysr.models.sharing import copy_tree

from ...model.fold_conditions import fold_conditions
from ...model.rewrite import make_convolution
from .stages import Denoise, WideConv2d

__all__ = ["fold_decoder", "fold_encoder", "fold_prompt", "widen_step"]


@torch.no_grad()
def fold_prompt(model: StableDiffusionSr) -> StableDiffusionSr:
    """Make constants of what the one time and the one prompt give.

    Given: a whole eager model.
    Result: the same function; the UNet reads latents alone.
    """
    model = copy_tree(model)
    restorer = model.unet
    time = torch.full((1,), float(restorer.timestep), device=restorer.prompt.device)
    restorer.net = fold_conditions(restorer.net, time, restorer.prompt)
    del restorer.prompt
    return model


@torch.no_grad()
def fold_encoder(model: StableDiffusionSr) -> StableDiffusionSr:
    """f·Q(Cx + c) + f·q = (f·QC)x + f·(Qc + q), of the rows of Q that give the means alone.

    Given: an encoder whose last convolution is followed by one of 1×1, the choice of the means,
    and the factor of the latents.
    Result: the same function; the last convolution is all of it.
    """
    model = copy_tree(model)
    encoder = model.encoder
    conv, quant = encoder.conv_out, encoder.quant_conv
    means, factor = quant.out_channels // 2, encoder.scaling_factor
    rows = quant.weight[:means, :, 0, 0] * factor  # [C, 2·C]
    weight = torch.einsum("oc,cihw->oihw", rows, conv.weight)
    bias = rows @ cast("Tensor", conv.bias) + cast("Tensor", quant.bias)[:means] * factor
    encoder.conv_out = make_convolution(conv, weight, bias)
    del encoder.quant_conv
    return model


@torch.no_grad()
def fold_decoder(model: StableDiffusionSr) -> StableDiffusionSr:
    """P(z / f) = (P / f)z before, and (Cx + c + 1) / 2 = (C / 2)x + (c + 1) / 2 behind.

    The first convolution stays apart from the 1×1 one before it, whose bias its padding has not.

    Given: a decoder that divides by the factor of the latents, and maps from [-1, 1].
    Result: the same function of convolutions alone.
    """
    model = copy_tree(model)
    decoder = model.decoder
    first, last = decoder.post_quant_conv, decoder.conv_out
    decoder.post_quant_conv = make_convolution(
        first, first.weight / decoder.scaling_factor, first.bias
    )
    decoder.conv_out = make_convolution(last, last.weight / 2, (cast("Tensor", last.bias) + 1) / 2)
    return model


@torch.no_grad()
def widen_step(model: StableDiffusionSr) -> StableDiffusionSr:
    """a·z - b·(Cx + c) = a·z + (-b·C)x - b·c, in fp32, where b is more than 1.

    Given: a UNet whose last convolution gives what the step multiplies and subtracts.
    Result: the same function; that convolution is a part of the step, if the step multiplies.
    """
    model = copy_tree(model)
    step, net = model.unet.step, model.unet.net
    if step.prediction == 1:
        return model
    factor, bias = -step.prediction, cast("Tensor", net.conv_out.bias)
    conv = make_convolution(net.conv_out, net.conv_out.weight * factor, bias * factor)
    conv.__class__ = WideConv2d
    model.unet.step = cast("nn.Module", Denoise(cast("WideConv2d", conv), step.latents))  # type: ignore[assignment]
    net.conv_out = nn.Identity()  # type: ignore[assignment]
    return model
