"""The bundle's manifest: what was made from what, how exact it is, and the hash of every file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tinysr import paths
from tinysr.chain import Chain
from tinysr.entries import FileEntry
from tinysr.errors import BundleError
from tinysr.facts import AnyFacts, FormatFacts, read_facts
from tinysr.origin import BakeProof, Host, Source
from tinysr.records import StrictRecord
from tinysr.stages import StageName

__all__ = [
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "Artifact",
    "BakeProof",
    "FileEntry",
    "Host",
    "Manifest",
    "Port",
    "Simplification",
    "Source",
    "Verdict",
    "read_manifest",
    "schema",
    "to_json",
]

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION: Literal[2] = 2

Facts = TypeVar("Facts", bound=FormatFacts)

_MAX_BYTES = 16 * 2**20  # a manifest is some kilobytes; a hostile one may be anything


class Port(StrictRecord):
    """An input or output of a graph."""

    name: str
    dtype: Literal["float32", "float16"]
    shape: tuple[int | str, ...]
    """A name stands for a dimension that may vary."""


class Verdict(StrictRecord):
    """Verdict of the parity gate on an artifact, and where it was run."""

    result: Literal["pass", "fail", "not run"]
    backend: str = ""
    gate_db: float | None = None
    """PSNR that every image must reach."""
    worst_db: float | None = None
    """Lowest PSNR of the suite; null when the two are equal bit for bit."""
    worst_image: str = ""
    images: int = 0
    note: str = ""


class Simplification(StrictRecord):
    """A graph after onnxsim held against the same graph before it."""

    nodes_before: int
    nodes_after: int
    difference: float
    """Largest absolute difference over the largest absolute value of the output."""


class Artifact(StrictRecord):
    """One graph, in one format and precision, with all the files it reads."""

    target: str
    """The format: onnx, tensorrt, coreml, …"""
    stage: StageName
    """Name of a stage, or of the whole chain."""
    precision: str
    file: FileEntry
    """The graph itself."""
    data: tuple[FileEntry, ...] = ()
    """Further files that the graph reads: its weights."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    options: AnyFacts = FormatFacts()
    """Facts of its build, as its format has them."""
    simplified: Simplification | None = None
    parity: Verdict = Verdict(result="not run")

    @field_validator("options", mode="before")
    @classmethod
    def _read_options(cls, data: object, info: ValidationInfo) -> FormatFacts:
        return read_facts(info.data.get("target"), data)

    def facts(self, kind: type[Facts]) -> Facts:
        """Return the facts of its build, which have to be of a kind.

        Raises:
            BundleError: they are another format's.
        """
        if not isinstance(self.options, kind):
            raise BundleError(
                f"{self.label}: expected {kind.__name__} in the manifest, "
                f"found {type(self.options).__name__}"
            )
        return self.options

    @property
    def label(self) -> str:
        """A short name for messages."""
        return f"{self.target}/{self.stage} {self.precision}"


class Manifest(StrictRecord):
    """A whole bundle."""

    schema_version: Literal[2] = SCHEMA_VERSION
    name: str
    family: str
    config: dict[str, Any]
    """The model's config, as its family writes it."""
    chain: Chain
    """The stages, and how an image is divided for them."""
    tile: int = Field(ge=1)
    """Side of the tile that the graph of the whole takes, in pixels of the image."""
    source: Source
    bake: BakeProof
    precision_plan: FileEntry | None = None
    """Plan that decided which modules of the fp16 and int8 artifacts stay wide; null if there is
    none."""
    quantization_plans: dict[str, FileEntry] = Field(default={})
    """Plans that decided ranges and kept layers, by name: int8, w8 and w4 are those of graphs;
    coreml-w8, coreml-w6 and coreml-w4 are those of Core ML packages."""
    artifacts: tuple[Artifact, ...]
    documents: tuple[FileEntry, ...] = ()
    """Files for people: a page for mobile teams, and source code for their apps."""
    tools: dict[str, str]
    """Versions of what the bundle was made with."""
    host: Host

    @model_validator(mode="after")
    def _check(self) -> Self:
        graphs = self.chain.graphs
        for artifact in self.artifacts:
            if artifact.stage not in graphs:
                raise ValueError(
                    f"{artifact.label}: expected one of {', '.join(graphs)}, which the chain has"
                )
        if self.tile % self.chain.multiple:
            raise ValueError(
                f"expected a tile that divides by {self.chain.multiple}, found {self.tile}"
            )
        return self


class _Version(BaseModel):
    """Version of a manifest's schema, whatever else it says."""

    schema_version: int


def read_manifest(folder: Path) -> Manifest:
    """Read and validate a bundle's manifest.

    Raises:
        BundleError: there is none, it is not valid JSON, or it does not fit the schema.
    """
    path = folder / MANIFEST_NAME
    data = paths.read_limited(path, _MAX_BYTES, BundleError)
    if data is None:
        raise BundleError(
            f"{folder}: no bundle here ({MANIFEST_NAME} is missing); make one with `tinysr export`"
        )
    try:
        _refuse_earlier(path, data)
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise BundleError(f"{path}: {_first_problem(error)}") from error


def _refuse_earlier(path: Path, data: bytes) -> None:
    """Refuse a manifest of another schema, whatever else it says.

    Raises:
        BundleError: it is one.
    """
    version = _Version.model_validate_json(data).schema_version
    if version != SCHEMA_VERSION:
        old = version < SCHEMA_VERSION
        maker, way = ("an older", "export it again") if old else ("a newer", "update tinysr")
        raise BundleError(
            f"{path}: made by {maker} tinysr (manifest {version}, this one reads "
            f"{SCHEMA_VERSION}): {way}"
        )


def to_json(manifest: Manifest) -> str:
    """Return the manifest as the text of ``manifest.json``."""
    return manifest.model_dump_json(indent=2) + "\n"


def schema() -> str:
    """Return the manifest's JSON schema, as published in ``manifest.schema.json``."""
    return json.dumps(Manifest.model_json_schema(), indent=2) + "\n"


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"at {place}: {first['msg']}{more}"
