"""AdcSR by diffusers' own classes, cut as its authors cut them, and saved as they release it."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.autoencoders.vae import Decoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from tests.support.checkpoint_factory import randomise
from tinysr.models.families.adcsr import AdcSrConfig

CUT = AdcSrConfig(widths=(48, 96, 96, 96), decoder_widths=(64, 64, 32, 32))
"""The model that :func:`make_reference` makes: heads of 48 and 32 groups, as in the released."""

UNCUT = (64, 128, 128, 128)
"""Widths of the UNet that it is cut from."""

NETWORK = "weight/net_params_200.pkl"
HALF = "weight/pretrained/halfDecoder.ckpt"


@dataclass
class Reference:
    """The independent model."""

    unet: UNet2DConditionModel
    decoder: Decoder

    def features(self, image: Tensor) -> Tensor:
        x = self.unet.conv_in(F.pixel_unshuffle(image * 2 - 1, 2))
        skips = (x,)
        for down in self.unet.down_blocks:
            x, given = down(hidden_states=x, temb=None)
            skips += given
        x = self.unet.mid_block(x)
        for up in self.unet.up_blocks:
            count = len(up.resnets)
            x = up(x, res_hidden_states_tuple=skips[-count:], temb=None)
            skips = skips[:-count]
        x = self.unet.conv_out(self.unet.conv_act(self.unet.conv_norm_out(x)))
        features: Tensor = self.decoder.mid_block(x)
        return features

    def upscale(self, image: Tensor) -> Tensor:
        x = self.features(image)
        for level in self.decoder.up_blocks:
            x = level(x)
        result: Tensor = self.decoder.conv_out(self.decoder.conv_act(self.decoder.conv_norm_out(x)))
        return result / 2 + 0.5


def make_unet(**options: Any) -> UNet2DConditionModel:
    """Return a small UNet of Stable Diffusion 2.1's kind, all weights random."""
    known: dict[str, Any] = {
        "block_out_channels": UNCUT,
        "attention_head_dim": (1, 2, 2, 2),
        "cross_attention_dim": 24,
        "use_linear_projection": True,
    }
    unet = UNet2DConditionModel(**known | options).eval().requires_grad_(False)
    return randomise(unet)


def make_reference() -> Reference:
    """Return a random model: three quarters of a UNet, and a narrow decoder."""
    unet = make_unet()
    unet.time_embedding = None
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D):
            module.time_emb_proj = None
        if isinstance(module, BasicTransformerBlock):
            module.attn2 = module.norm2 = None
    cut(unet)
    features = CUT.decoder_widths[0]
    unet.conv_in = nn.Conv2d(12, CUT.widths[0], 3, padding=1)
    unet.conv_out = nn.Conv2d(CUT.widths[0], features, 3, padding=1)
    decoder = Decoder(
        in_channels=4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=CUT.decoder_widths[::-1],
        layers_per_block=2,
    )
    for module in (unet, decoder.eval()):
        randomise(module.requires_grad_(False))
    return Reference(unet=unet, decoder=decoder)


def cut(model: nn.Module) -> None:
    """Put layers of three quarters of the channels in the places of all layers that have any."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            module.add_module(name, quarter_off(child))
        if isinstance(module, Downsample2D | Upsample2D):
            module.channels = int(0.75 * module.channels)


def quarter_off(layer: nn.Module) -> nn.Module:
    """Return a new layer with three quarters of the channels; the same if it has none."""
    match layer:
        case nn.Conv2d():
            kept = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding")}
            return nn.Conv2d(int(0.75 * layer.in_channels), int(0.75 * layer.out_channels), **kept)
        case nn.Linear():
            inputs, outputs = int(0.75 * layer.in_features), int(0.75 * layer.out_features)
            return nn.Linear(inputs, outputs, bias=layer.bias is not None)
        case nn.GroupNorm():
            channels = int(0.75 * layer.num_channels)
            groups = next(count for count in (32, 24, 16, 12, 8) if channels % count == 0)
            return nn.GroupNorm(groups, channels, layer.eps)
        case nn.LayerNorm():
            return nn.LayerNorm(int(0.75 * layer.normalized_shape[0]), layer.eps)
    return layer


def network_state(reference: Reference) -> dict[str, Tensor]:
    """Return what the authors' training saves: the UNet's parts under two names each."""
    unet = reference.unet
    parts = (*unet.down_blocks, unet.mid_block, *unet.up_blocks)
    unet.body = nn.Sequential(*parts, unet.conv_norm_out, unet.conv_act, unet.conv_out)
    net = nn.Module()
    net.body = nn.Sequential(nn.PixelUnshuffle(2), unet, reference.decoder.mid_block)
    whole = nn.Module()
    whole.module = net  # as DataParallel has it
    state = whole.state_dict()
    del unet.body
    return state


def save_adcsr(root: Path) -> Reference:
    """Save a random model as it is released, and return it."""
    reference = make_reference()
    (root / HALF).parent.mkdir(parents=True)
    torch.save(network_state(reference), root / NETWORK)
    # The released decoder has a middle block of its own, which the network's replaces.
    other = make_reference().decoder
    other.up_blocks = reference.decoder.up_blocks
    other.conv_norm_out = reference.decoder.conv_norm_out
    other.conv_out = reference.decoder.conv_out
    state = {f"decoder.{name}": tensor for name, tensor in other.state_dict().items()}
    save_lightning(state, root / HALF)
    return reference


def save_lightning(state: dict[str, Tensor], path: Path) -> None:
    """Save a state dict with what training leaves beside it, some of it of unknown classes."""
    with strange_class() as strange:
        settings = strange()
        settings.rates, settings.path = [1e-4], Path("somewhere")
        discriminator = {"loss.norm.num_batches_tracked": torch.tensor(3)}
        checkpoint = {
            "epoch": 3,
            "pytorch-lightning_version": "2.0.0",
            "state_dict": state | discriminator,
            "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": []}],
            "callbacks": {"best": strange()},
            "hyper_parameters": settings,
        }
        torch.save(checkpoint, path)


@contextmanager
def strange_class() -> Iterator[Any]:
    """Lend a class of a library that nobody else has."""
    library = types.ModuleType("strange_library")
    kind = type("Settings", (), {"__module__": library.__name__})
    library.Settings = kind  # type: ignore[attr-defined]
    sys.modules[library.__name__] = library
    try:
        yield kind
    finally:
        del sys.modules[library.__name__]
