"""A saved ``.mlpackage`` → a program. Runs wherever coremltools can be installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tinysr.errors import BundleError, require

from .blobs import Blobs, unpack
from .program import (
    Argument,
    Block,
    Constant,
    Feature,
    Function,
    Operation,
    Program,
    TensorType,
    Value,
    storage,
)

__all__ = ["EXTRA", "load_program", "model_file"]

EXTRA = "coreml"

_MODEL_PATH = "@model_path/"
_FIELDS = ("floats", "ints", "bools", "longInts", "doubles")
_ARRAYS = {65568: "float32", 65600: "float64", 65552: "float16", 131104: "int32", 131080: "int8"}
"""ArrayFeatureType.ArrayDataType."""


def load_program(path: Path) -> Program:
    """Read a package.

    Args:
        path: the ``.mlpackage`` folder.

    Raises:
        BundleError: it is no package, holds no ML program, or is damaged.
        MissingBackendError: coremltools is not installed.
    """
    proto = _proto("Model_pb2")
    file = model_file(path)
    model = proto.Model()
    try:
        model.ParseFromString(file.read_bytes())
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from error
    except Exception as error:  # protobuf's own, whose class depends on its implementation
        raise BundleError(f"{file}: expected a Core ML model, found other bytes") from error
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        raise BundleError(f"{file}: expected an ML program, found {kind or 'nothing'}")
    return _Reader(model, file).program()


def model_file(path: Path) -> Path:
    """Return the file of a package that holds its model.

    Raises:
        BundleError: its manifest is missing, damaged, or points outside.
    """
    try:
        manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
        entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BundleError(f"{path}: expected an .mlpackage with its Manifest.json") from error
    parts = PurePosixPath(str(entry))
    if parts.is_absolute() or ".." in parts.parts:
        raise BundleError(f"{path}: its manifest points outside: {entry}")
    return path / "Data" / parts


def _proto(module: str) -> Any:
    return require(f"coremltools.proto.{module}", extra=EXTRA)


class _Reader:
    """Turns one model's protobuf into a program."""

    def __init__(self, model: Any, file: Path) -> None:
        self._model, self._file = model, file
        self._types = {v: k.lower() for k, v in _proto("MIL_pb2").DataType.items()}
        self._blobs: dict[str, Blobs] = {}
        self._place = ""

    def program(self) -> Program:
        description = self._model.description
        own = {f.name: f for f in description.functions}
        names = list(self._model.mlProgram.functions)
        functions = {name: self._function(name, own.get(name, description)) for name in names}
        default = description.defaultFunctionName or "main"
        if default not in functions:
            raise BundleError(f"{self._file}: expected a function '{default}', found {names}")
        meta = description.metadata
        known = {"author": meta.author, "license": meta.license, "version": meta.versionString}
        known["description"] = meta.shortDescription
        return Program(
            functions=functions,
            default=default,
            metadata={k: v for k, v in known.items() if v} | dict(meta.userDefined),
        )

    def _function(self, name: str, description: Any) -> Function:
        function = self._model.mlProgram.functions[name]
        if function.opset not in function.block_specializations:
            raise BundleError(f"{self._file}: function '{name}' has no block for {function.opset}")
        body = self._block(function.block_specializations[function.opset], name)
        ports = (*description.input, *description.output)
        return Function(
            name=name,
            inputs=tuple((port.name, self._type(port.type)) for port in function.inputs),
            body=body,
            features=tuple(_feature(port) for port in ports),
        )

    def _block(self, block: Any, place: str) -> Block:
        operations = []
        for index, op in enumerate(block.operations):
            with self._blame_place(f"{place}, operation {index} ({op.type})"):
                operations.append(self._operation(op, place))
        return Block(operations=tuple(operations), outputs=tuple(block.outputs))

    def _operation(self, op: Any, place: str) -> Operation:
        outputs = tuple((port.name, self._type(port.type)) for port in op.outputs)
        inputs: dict[str, Argument] = {k: self._argument(a) for k, a in op.inputs.items()}
        own = {k: self._value(v) for k, v in op.attributes.items() if k != "name"}
        text = ""
        if "name" in op.attributes:  # protobuf's maps make what they are asked for
            text = op.attributes["name"].immediateValue.tensor.strings.values[0]
        return Operation(
            kind=op.type,
            name=text or (outputs[0][0] if outputs else ""),
            inputs=inputs | own,
            outputs=outputs,
            blocks=tuple(self._block(block, f"{place}/{text}") for block in op.blocks),
        )

    def _argument(self, argument: Any) -> Argument:
        found = tuple(
            Value(name=binding.name)
            if binding.WhichOneof("binding") == "name"
            else self._value(binding.value)
            for binding in argument.arguments
        )
        return found[0] if len(found) == 1 else found

    def _type(self, kind: Any) -> TensorType:
        if kind.WhichOneof("type") != "tensorType":
            return TensorType(dtype=str(kind.WhichOneof("type")), shape=())
        tensor = kind.tensorType
        sides = (
            int(dim.constant.size) if dim.WhichOneof("dimension") == "constant" else None
            for dim in tensor.dimensions
        )
        return TensorType(dtype=self._types[tensor.dataType], shape=tuple(sides))

    def _value(self, value: Any) -> Constant:
        kind = self._type(value.type)
        if kind.dtype == "dictionarytype" or value.WhichOneof("value") is None:
            return Constant(type=kind, array="")
        shape = tuple(side or 0 for side in kind.shape)
        count = int(np.prod(shape, dtype=np.int64))
        if value.WhichOneof("value") == "blobFileValue":
            stored = value.blobFileValue
            array = self._file_blobs(stored.fileName).read(stored.offset, kind.dtype, count)
            return Constant(type=kind, array=array.reshape(shape))
        return self._immediate(value.immediateValue, kind, shape, count)

    def _immediate(
        self, value: Any, kind: TensorType, shape: tuple[int, ...], count: int
    ) -> Constant:
        if value.WhichOneof("value") != "tensor":
            return Constant(type=kind, array="")
        tensor = value.tensor
        field = tensor.WhichOneof("value")
        if field == "strings":
            return Constant(type=kind, array=str(tensor.strings.values[0]))
        if field == "bytes":
            raw = np.frombuffer(tensor.bytes.values, np.uint8)
            array = unpack(raw, kind.dtype, count)
        elif field in _FIELDS:
            array = np.array(getattr(tensor, field).values).astype(storage(kind.dtype))
        else:
            array = np.zeros(0, storage(kind.dtype))
        if array.size != count:
            raise BundleError(f"expected {count} values of {kind.dtype}, found {array.size}")
        return Constant(type=kind, array=array.reshape(shape))

    def _file_blobs(self, name: str) -> Blobs:
        """Open the weights' file; a name outside the package's own folder is refused."""
        path = PurePosixPath(name.removeprefix(_MODEL_PATH))
        if path.is_absolute() or ".." in path.parts:
            raise BundleError(f"the weights lie outside the package: {name}")
        if name not in self._blobs:
            self._blobs[name] = Blobs(self._file.parent / path)
        return self._blobs[name]

    @contextmanager
    def _blame_place(self, place: str) -> Iterator[None]:
        """Say where in the program what is wrong was found; innermost place first."""
        try:
            yield
        except BundleError as error:
            if str(error).startswith(str(self._file)):
                raise
            raise BundleError(f"{self._file}: {place}: {error}") from error
        except (LookupError, TypeError, ValueError) as error:
            raise BundleError(f"{self._file}: {place}: it can't be read ({error})") from error


def _feature(port: Any) -> Feature:
    """Return an input or output as the model describes it."""
    if port.type.WhichOneof("Type") == "imageType":
        image = port.type.imageType
        sizes = [(s.height, s.width) for s in image.enumeratedSizes.sizes]
        return Feature(
            name=port.name,
            kind="image",
            dtype="uint8",
            shape=(1, 3, int(image.height), int(image.width)),
            shapes=tuple((1, 3, int(h), int(w)) for h, w in sizes),
        )
    array = port.type.multiArrayType
    choices = tuple(tuple(int(n) for n in s.shape) for s in array.enumeratedShapes.shapes)
    return Feature(
        name=port.name,
        kind="array",
        dtype=_ARRAYS.get(array.dataType, "float32"),
        shape=tuple(int(side) for side in array.shape),
        shapes=choices,
    )
