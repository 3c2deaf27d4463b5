"""Fit: what open graphs take, held against the chain that the manifest declares."""

from __future__ import annotations

from collections.abc import Mapping

from tinysr.chain import Chain
from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import Manifest
from tinysr.stages import Stage, StageName, Tiles, Windows

from ..session import Session
from .divide import Limits

__all__ = ["check_fit", "find_limits", "find_surroundings"]


def check_fit(manifest: Manifest, sessions: Mapping[StageName, Session]) -> None:
    """Refuse graphs of other channels or tiles than the chain's.

    Raises:
        BundleError: the manifest contradicts itself.
    """
    chain = manifest.chain
    for stage in chain.stages:
        artifact = sessions[stage.name].artifact
        if len(artifact.inputs) != 1 or len(artifact.outputs) != 1:
            raise BundleError(f"{artifact.label}: expected one input and one output")
        for port, name in ((artifact.inputs[0], stage.reads), (artifact.outputs[0], stage.gives)):
            wanted = _expect(chain, stage, name)
            found = port.shape[1:]
            clash = len(found) != len(wanted) or any(
                isinstance(have, int) and want is not None and have != want
                for have, want in zip(found, wanted, strict=False)
            )
            if clash:
                told = ["any" if size is None else size for size in wanted]
                raise BundleError(
                    f"{artifact.label}: expected '{port.name}' of channels and sides {told}, as "
                    f"the chain has '{name}', found {list(found)}; export the bundle again"
                )


def _expect(chain: Chain, stage: Stage, name: str) -> tuple[int, int | None, int | None]:
    """Return the channels of a field and its sides in a stage's runs; None where they vary."""
    field, side = chain.field(name), None
    if isinstance(stage.division, Tiles):
        side = stage.division.side * chain.cell(stage) // field.pixels_per_cell
    return field.channels, side, side


def find_limits(
    chain: Chain, stage: Stage, session: Session, window: int | None, *, whole: bool
) -> Limits:
    """Return the sizes that a stage's runs may have.

    Args:
        chain: of the bundle.
        stage: of the chain.
        session: of its graph.
        window: a side that was asked for, in pixels of the image.
        whole: whether a stage of tiles may take an image whole.

    Raises:
        UnsupportedError: no window fits, or the one that was asked for does not.
    """
    return Limits(
        sides=_find_sides(chain, stage, session),
        longest=_limit_side(chain, stage, session, window),
        window=None if window is None else window // chain.pixels(stage, 1),
        whole=whole and not isinstance(session.artifact.inputs[0].shape[-1], int),
    )


def _limit_side(chain: Chain, stage: Stage, session: Session, window: int | None) -> int | None:
    """Return the longest side that a stage of windows takes, in its cells, if there is a limit.

    Args:
        chain: of the bundle.
        stage: of the chain.
        session: of its graph.
        window: a side that was asked for, in pixels of the image.

    Raises:
        UnsupportedError: no window fits, or the one that was asked for does not.
    """
    if session.longest_side is None:
        return None
    # The longest side of an input, which may be finer than the cells.
    cells = session.longest_side * chain.field(stage.reads).pixels_per_cell // chain.cell(stage)
    around = 2 * getattr(stage.division, "halo", 0)
    longest, surroundings = chain.pixels(stage, cells), chain.pixels(stage, around)
    if longest <= surroundings or (window or 0) > longest:
        raise UnsupportedError(
            f"the engines take sides up to {longest} pixels: expected more than {surroundings}, "
            f"which surround what a window gives, and no larger window than that, found {window}"
        )
    return cells


def _find_sides(chain: Chain, stage: Stage, session: Session) -> tuple[int, ...]:
    """Return the sides of the windows that a stage's graph takes, in its cells.

    Empty when it takes any: only a format whose graphs have fixed sizes says so.
    """
    pixels = chain.pixels(stage, 1)
    return tuple(sorted({side // pixels for side in session.artifact.options.windows}))


def find_surroundings(chain: Chain) -> int:
    """Return the pixels of the image around what windows give, on both sides together."""
    halos = (
        chain.pixels(stage, 2 * stage.division.halo)
        for stage in chain.stages
        if isinstance(stage.division, Windows)
    )
    return max(halos, default=0)
