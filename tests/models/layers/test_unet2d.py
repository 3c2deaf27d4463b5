"""The UNet against diffusers' own."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.adcsr import UNCUT, make_unet
from tests.support.tiny_models import difference
from tinysr.models.layers.unet2d import Unet2d, UnetConfig

TOLERANCE = 1e-5

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))


CONFIG = UnetConfig(widths=UNCUT, heads=(1, 2, 2, 2), text=24)

SHALLOW = UnetConfig(
    inputs=16,
    outputs=8,
    widths=(32, 64),
    heads=(2, 4),
    attended=(True, False),
    blocks=1,
    text=24,
)
THEIR_SHALLOW = {
    "in_channels": 16,
    "out_channels": 8,
    "block_out_channels": (32, 64),
    "attention_head_dim": (2, 4),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}


@pytest.mark.parametrize(
    ("config", "options"), [(CONFIG, {}), (SHALLOW, THEIR_SHALLOW)], ids=["four levels", "two"]
)
def test_with_time_and_text_it_is_diffusers(config: UnetConfig, options: dict[str, Any]) -> None:
    theirs = make_unet(**options)
    ours = Unet2d(config).eval()
    ours.load_state_dict(theirs.state_dict())
    x, text = torch.randn(2, config.inputs, 16, 24), torch.randn(2, 7, 24)
    time = torch.tensor([999.0, 1.0])
    expected = theirs(x, time, text, return_dict=False)[0]
    assert difference(ours(x, time, text), expected) <= TOLERANCE
    assert difference(ours(x, time.flip(0), text), expected) > 100 * TOLERANCE
    assert difference(ours(x, time, text.flip(1) * 2), expected) > 100 * TOLERANCE


def test_the_defaults_are_stable_diffusion_2_1() -> None:
    with torch.device("meta"):
        ours = Unet2d(UnetConfig())
    assert sum(p.numel() for p in ours.parameters()) == 865_910_724
    assert len(ours.state_dict()) == 686


def test_time_and_text_are_neither_forgotten_nor_dropped() -> None:
    x, time, text = torch.randn(1, 4, 8, 8), torch.ones(1), torch.randn(1, 3, 24)
    with torch.device("meta"):
        told = Unet2d(CONFIG)
        untold = Unet2d(UnetConfig(widths=UNCUT, heads=(1, 2, 2, 2), time=False, text=None))
    for model, inputs, words in (
        (told, (x, None, text), "expected a time"),
        (told, (x, time, None), "expected a text"),
        (untold, (x, time, None), "expected no time"),
        (untold, (x, None, text), "expected no text"),
    ):
        with pytest.raises(ValueError, match=words):
            model(*inputs)


def test_without_time_and_text_it_has_no_modules_for_them() -> None:
    with torch.device("meta"):
        names = Unet2d(UnetConfig(time=False, text=None)).state_dict()
    assert len(names) == 526
    assert not [name for name in names if "time" in name or "attn2" in name]


def test_norms_have_the_first_number_of_groups_that_divides() -> None:
    config = UnetConfig(
        widths=(24, 48), heads=(1, 1), attended=(True, False), groups=(32, 24, 16), text=None
    )
    norms = [m for m in Unet2d(config).modules() if isinstance(m, nn.GroupNorm)]
    assert {(m.num_channels, m.num_groups) for m in norms} == {
        (24, 24),
        (48, 24),
        (72, 24),
        (96, 32),
    }
    with pytest.raises(ValueError, match="divide into"):
        Unet2d(UnetConfig(widths=(24, 25), heads=(1, 1), attended=(True, False)))


class Passing(nn.Module):
    """What stands in diffusers' blocks where a transformer was taken out."""

    def forward(self, x: torch.Tensor, **_options: Any) -> tuple[torch.Tensor]:
        return (x,)


def test_levels_may_have_any_blocks_with_and_without_transformers() -> None:
    theirs = make_unet(layers_per_block=(1, 2, 1, 1))
    down = ((False,), (True, False), (True,), (False,))
    up = ((True, False), (False, True, True), (False, False), (False, False))
    for blocks, levels in ((theirs.down_blocks, down), (theirs.up_blocks, up[::-1])):
        for block, follows in zip(blocks, levels, strict=True):
            for index, kept in enumerate(follows):
                if not kept and hasattr(block, "attentions"):
                    block.attentions[index] = Passing()
    theirs.mid_block.attentions = nn.ModuleList()
    theirs.mid_block.resnets = theirs.mid_block.resnets[:1]
    config = UnetConfig(
        widths=UNCUT, heads=(1, 2, 2, 2), text=24, down=down, up=up, middle=0, attended=()
    )
    ours = Unet2d(config).eval()
    ours.load_state_dict(theirs.state_dict())
    x, text, time = torch.randn(1, 4, 16, 24), torch.randn(1, 7, 24), torch.tensor([999.0])
    expected = theirs(x, time, text, return_dict=False)[0]
    assert difference(ours(x, time, text), expected) <= TOLERANCE
