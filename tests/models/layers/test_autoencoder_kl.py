"""Parts of the autoencoder against diffusers' decoder; both halves are held where TSD-SR is."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.autoencoders.vae import Decoder

from tests.support.checkpoint_factory import randomise
from tests.support.tiny_models import difference
from tinysr.models.layers.autoencoder_kl import KlTail, Middle

TOLERANCE = 1e-5

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("widths", [(16, 16, 8, 8), (24, 16, 8)])
def test_the_middle_and_the_tail_are_the_decoder_s(widths: tuple[int, ...]) -> None:
    torch.manual_seed(len(widths))
    theirs = Decoder(
        in_channels=4,
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths[::-1],
        layers_per_block=2,
        norm_num_groups=4,
    )
    randomise(theirs.eval().requires_grad_(False))
    middle, tail = Middle(widths[0], 4).eval(), KlTail(widths, 3, 4).eval()
    middle.load_state_dict(theirs.mid_block.state_dict())
    state = theirs.state_dict()
    tail.load_state_dict(
        {n: t for n, t in state.items() if not n.startswith(("conv_in.", "mid_block."))}
    )
    z = torch.randn(2, 4, 8, 6)
    found = tail(middle(theirs.conv_in(z)))
    side = 2 ** (len(widths) - 1)
    assert found.shape == (2, 3, 8 * side, 6 * side)
    assert difference(found, theirs(z)) <= TOLERANCE
