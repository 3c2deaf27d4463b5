"""The number of latent channels is known from the manifest, or the bundle is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import TwinModel, edit_manifest, make_bundle
from tinysr.errors import BundleError
from tinysr.runtime import Upscaler


def open_bundle(
    folder: Path, *, in_graphs: int | str, in_config: int | None, backend: str = "eager"
) -> None:
    """Open a bundle of 16 latent channels whose manifest tells something of them."""

    def tell(data: dict[str, Any]) -> None:
        data["config"] = {} if in_config is None else {"vae": {"latent_channels": in_config}}
        ports = {"encoder": "outputs", "transformer": "inputs", "decoder": "inputs"}
        for artifact in data["artifacts"]:
            for port in (*artifact["inputs"], *artifact["outputs"]):
                if port["name"] in ("latents", "velocity"):
                    port["shape"][1] = in_graphs
            assert artifact[ports[artifact["stage"]]][0]["shape"][1] == in_graphs

    edit_manifest(make_bundle(folder), tell)
    model = TwinModel() if backend == "eager" else None
    with Upscaler(folder, backend=backend, model=model):
        pass


@pytest.mark.parametrize(("in_graphs", "in_config"), [(16, None), ("C", 16), (16, 16)])
def test_either_place_says_it(tmp_path: Path, in_graphs: int | str, in_config: int | None) -> None:
    open_bundle(tmp_path / "bundle", in_graphs=in_graphs, in_config=in_config)


@pytest.mark.parametrize(("in_graphs", "in_config"), [("C", None), (16, 8)])
def test_unknown_and_contradicting_numbers_are_refused(
    tmp_path: Path, in_graphs: int | str, in_config: int | None
) -> None:
    with pytest.raises(BundleError, match="expected one number of latent channels"):
        open_bundle(tmp_path / "bundle", in_graphs=in_graphs, in_config=in_config)
