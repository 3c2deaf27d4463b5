"""What XMP says of a picture grows with it, and what it says of other bytes of a file goes."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.support.pictures import pixels, read
from tinysr.runtime.files import decode
from tinysr.runtime.metadata import resize_metadata
from tinysr.runtime.metadata.xmp_parts import remove_parts
from tinysr.runtime.raster import Raster

SPACES = {
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "GAudio": "http://ns.google.com/photos/1.0/audio/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
SHARED = {"dc:creator": "Someone"}
PARTS = "<Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Semantic='GainMap' \
Item:Length='4093'/></rdf:li></rdf:Seq></Container:Directory>"


def packet(properties: dict[str, str], *, as_attributes: bool, inner: str = "") -> bytes:
    """Return a packet with properties in one of the two ways that XMP has."""
    spaces = " ".join(f'xmlns:{name}="{uri}"' for name, uri in SPACES.items())
    said = " ".join(f'{name}="{value}"' for name, value in properties.items())
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in properties.items())
    start = f"<rdf:Description {spaces}" + (f" {said}>" if as_attributes else f">{elements}")
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{SPACES["rdf"]}">'
        f"{start}{inner}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def photo_with(xmp: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, "JPEG", xmp=xmp)
    return file.getvalue()


def enlarged(xmp: bytes) -> dict[str, str]:
    """Return the properties of a photo's packet once the photo is four times larger."""
    raster = read(photo_with(xmp))
    large = Raster(pixels=raster.pixels.repeat(4, 0).repeat(4, 1), metadata=raster.metadata)
    again = resize_metadata(Raster(pixels=large.pixels, metadata=resize_metadata(large))).xmp
    assert again == resize_metadata(large).xmp  # it may be asked for twice
    return properties_of(again or b"")


def properties_of(xmp: bytes) -> dict[str, str]:
    """Return a packet's properties as an XML parser finds them."""
    prefixes = {uri: name for name, uri in SPACES.items()}
    found = {}
    for element in ElementTree.fromstring(xmp).iter():  # noqa: S314  (our own)
        for tag, value in {element.tag: element.text, **element.attrib}.items():
            uri, name = re.fullmatch(r"(?:\{(.*)\})?(.*)", tag).groups()  # type: ignore[union-attr]
            if value is not None and uri in prefixes:
                found[f"{prefixes[uri]}:{name}"] = value
    return found


BYTES_ELSEWHERE = {
    "gain map": {"hdrgm:Version": "1.0", "hdrgm:GainMapMax": "2.3"},
    "film of a motion photo": {"GCamera:MotionPhoto": "1", "GCamera:MicroVideoOffset": "4093"},
    "depth map": {"GDepth:Format": "RangeInverse", "GDepth:Mime": "image/png"},
    "picture within the metadata": {"GImage:Mime": "image/jpeg"},
    "sound": {"GAudio:Mime": "audio/mp4"},
    "second packet of XMP": {"xmpNote:HasExtendedXMP": "0123456789ABCDEF"},
}


@pytest.mark.parametrize("part", BYTES_ELSEWHERE)
@pytest.mark.parametrize("as_attributes", [True, False])
def test_what_is_said_of_bytes_that_are_gone_goes_and_is_told(
    part: str, as_attributes: bool
) -> None:
    xmp = packet(BYTES_ELSEWHERE[part] | SHARED, as_attributes=as_attributes, inner=PARTS)
    assert enlarged(xmp) == SHARED
    assert decode(photo_with(xmp), "this", max_megapixels=1).notes == (f"its {part} is left out",)


@pytest.mark.parametrize("as_attributes", [True, False])
def test_a_photo_that_says_it_has_no_film_loses_none(as_attributes: bool) -> None:
    xmp = packet({"GCamera:MotionPhoto": "0"} | SHARED, as_attributes=as_attributes)
    assert decode(photo_with(xmp), "this", max_megapixels=1).notes == ()


@pytest.mark.parametrize("as_attributes", [True, False])
def test_a_panorama_grows_with_its_picture(as_attributes: bool) -> None:
    kept = {"GPano:ProjectionType": "equirectangular", "GPano:PoseHeadingDegrees": "350"}
    before = {
        "GPano:CroppedAreaImageWidthPixels": 28, "GPano:CroppedAreaImageHeightPixels": 20,
        "GPano:FullPanoWidthPixels": 56, "GPano:FullPanoHeightPixels": 28,
        "GPano:CroppedAreaLeftPixels": 14, "GPano:CroppedAreaTopPixels": 4,
    }  # fmt: skip
    said = kept | {name: str(value) for name, value in before.items()}
    after = kept | {name: str(4 * value) for name, value in before.items()}
    assert enlarged(packet(said, as_attributes=as_attributes)) == after


@pytest.mark.parametrize("as_attributes", [True, False])
@pytest.mark.parametrize(("unit", "after"), [("pixel", ("112", "80")), ("inch", ("28", "20"))])
def test_faces_are_in_a_picture_of_the_new_size(
    as_attributes: bool, unit: str, after: tuple[str, str]
) -> None:
    said = {"stDim:w": "28", "stDim:h": "20", "stDim:unit": unit}
    found = enlarged(packet(said, as_attributes=as_attributes))
    assert (found["stDim:w"], found["stDim:h"]) == after


@pytest.mark.parametrize("broken", [b"<hdrgm:Version>" * 20_000, b" hdrgm:Version='1" * 20_000])
def test_packets_that_are_no_xml_stay_bounded(broken: bytes) -> None:
    assert len(remove_parts(broken) or b"") <= len(broken)
