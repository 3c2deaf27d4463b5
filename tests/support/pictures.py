"""Pictures for tests: every depth and number of channels, written by other libraries."""

from __future__ import annotations

import functools
import io
from typing import Any

import cv2
import numpy as np
import piexif
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tinysr.runtime.files import decode
from tinysr.runtime.raster import Raster

DEPTHS = ("uint8", "uint16", "float32")
CHANNELS = (1, 2, 3, 4)
WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}

_TO_CV = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}


def pixels(depth: str = "uint8", channels: int = 3, height: int = 20, width: int = 28) -> Any:
    """Smooth colours over most of the range, alpha included; ``[H, W, C]``."""
    y, x = np.mgrid[:height, :width]
    planes = [x / width, y / height, (x + y) / (width + height), 1 - x / width / 2][:channels]
    if channels == 2:
        planes[1] = 1 - x / width / 2
    values = np.stack(planes, axis=2) * WHITE[depth]
    return (values if depth == "float32" else values.round()).astype(depth)


def read(data: bytes, max_megapixels: float = 100.0) -> Raster:
    return decode(data, "picture", max_megapixels=max_megapixels).raster


def by_opencv(image: NDArray[Any], suffix: str, options: tuple[int, ...] = ()) -> bytes:
    """Return an image ``[H, W, 1, 3 or 4]`` as a file."""
    code = _TO_CV.get(image.shape[2])
    done, data = cv2.imencode(suffix, image if code is None else cv2.cvtColor(image, code), options)
    assert done
    return data.tobytes()


def seen_by_opencv(data: bytes) -> NDArray[Any]:
    """Return what OpenCV sees in a file, ``[H, W, C]``, in its depth."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    if found.ndim == 2:
        return found[..., None]
    back = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[found.shape[2]]
    return cv2.cvtColor(found, back)


def by_tifffile(image: NDArray[Any], file: Any, **options: Any) -> None:
    channels = image.shape[2]
    extra = {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
    layout = {
        "photometric": "minisblack" if channels <= 2 else "rgb",
        "planarconfig": None if channels == 1 else "contig",
    }
    flat = image[..., 0] if channels == 1 else image
    tifffile.imwrite(file, flat, **{**layout, **extra, **options})


@functools.cache  # a profile says when it was made
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def of_space(profile: bytes, space: bytes) -> bytes:
    """Return a profile that says it is of another colour space."""
    return profile[:16] + space + profile[20:]


def gradient(width: int = 40, height: int = 36) -> Image.Image:
    return Image.fromarray(pixels(height=height, width=width))


NAMES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "avif": "AVIF", "tiff": "TIFF"}
LOSSLESS: dict[str, dict[str, Any]] = {
    "webp": {"lossless": True},
    "avif": {"quality": 100, "subsampling": "4:4:4"},
}
WIDTH, HEIGHT = 28, 20
AUTHOR = "Zoë Ångström".encode()
MAKER_NOTE = bytes(range(256)) * 2
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta '
    b'xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'xmlns:exif="http://ns.adobe.com/exif/1.0/" tiff:Orientation="6" exif:PixelXDimension="28">'
    b"<tiff:ImageLength>20</tiff:ImageLength></rdf:Description></rdf:RDF></x:xmpmeta>"
    b'<?xpacket end="w"?>'
)


def exif(orientation: int = 6, *, thumbnail: bool = True) -> bytes:
    """Return EXIF data as cameras write it; made by piexif."""
    small = io.BytesIO()
    Image.new("RGB", (16, 12)).save(small, "JPEG")
    groups: dict[str, Any] = {
        "0th": {
            piexif.ImageIFD.Make: b"Maker",
            piexif.ImageIFD.Orientation: orientation,
            piexif.ImageIFD.Artist: AUTHOR,
            piexif.ImageIFD.XResolution: (240, 1),
            piexif.ImageIFD.YResolution: (240, 1),
            piexif.ImageIFD.ResolutionUnit: 2,
        },
        "Exif": {
            piexif.ExifIFD.ExposureTime: (1, 125),
            piexif.ExifIFD.PixelXDimension: WIDTH,
            piexif.ExifIFD.PixelYDimension: HEIGHT,
            piexif.ExifIFD.MakerNote: MAKER_NOTE,
            piexif.ExifIFD.ExifVersion: b"0232",
        },
        "GPS": {piexif.GPSIFD.GPSLatitude: ((52, 1), (30, 1), (125, 10))},
        "Interop": {piexif.InteropIFD.InteroperabilityIndex: b"R98"},
    }
    if thumbnail:
        groups |= {"1st": {piexif.ImageIFD.Compression: 6}, "thumbnail": small.getvalue()}
    data: bytes = piexif.dump(groups)
    return data


def photo(file_format: str, orientation: int = 6) -> bytes:
    """Return a photo with everything, written by a library that is not ours."""
    if file_format == "tiff":
        return tiff_photo(orientation)
    if file_format == "jxl":
        from tests.support.jxl_files import jxl_photo  # which uses what is here

        return jxl_photo(orientation)
    file = io.BytesIO()
    image = Image.fromarray(pixels())
    options: dict[str, Any] = LOSSLESS.get(file_format, {})
    if file_format == "png":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"pnginfo": text}
    else:
        options["xmp"] = XMP
    image.save(
        file,
        NAMES[file_format],
        exif=exif(orientation),
        icc_profile=srgb(),
        dpi=(240, 240),
        **options,
    )
    return file.getvalue()


def tiff_photo(orientation: int) -> bytes:
    file = io.BytesIO()
    tags = Image.Exif()
    tags.load(exif(orientation, thumbnail=False))
    tags[700] = XMP
    tags[34675] = srgb()
    Image.fromarray(pixels()).save(file, "TIFF", exif=tags, dpi=(240, 240))
    return file.getvalue()
