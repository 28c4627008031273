"""Compressors and image codecs from npm: what goes in comes out, and engines agree on garbage too."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from random import Random

import pytest
from catalogue import OPTIONS
from twins import CallEnded, Twins

from hlfuzz import Ok

CONTENTS = {
    "nothing": b"",
    "a byte": b"x",
    "zeros": bytes(100_000),
    "text": b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n" * 200,
    "noise": Random(8).randbytes(20_000),
}
DAMAGES = 8
Codec = Callable[[Twins, bytes], bytes | None]


def bindgen(function: str, *more: int) -> Codec:
    """Calls a wasm-bindgen function (&[u8]) -> Result<Vec<u8>, JsValue> by its return pointer. None: Err."""

    def run(box: Twins, data: bytes) -> bytes | None:
        back = box.call("__wbindgen_add_to_stack_pointer", -16)
        address = box.call("__wbindgen_malloc", len(data))
        box.call(function, back, box.put(address, data), len(data), *more)
        out, length, _, failed = struct.unpack("<4I", box.read(back, 16))
        result = None if failed else box.read(out, length)
        if result:
            box.call("__wbindgen_free", out, length)
        box.call("__wbindgen_add_to_stack_pointer", 16)
        return result

    return run


def zstd(function: str, capacity: Callable[[int], int], *more: int) -> Codec:
    """Calls ZSTD_compress or ZSTD_decompress, by the names that emscripten has shortened them to."""

    def run(box: Twins, data: bytes) -> bytes | None:
        room = capacity(len(data))
        out, source = box.call("s", room), box.call("s", max(1, len(data)))
        length = box.call(function, out, room, box.put(source, data), len(data), *more)
        result = None if box.call("h", length) else box.read(out, length)
        box.call("t", out)
        box.call("t", source)
        return result

    return run


CODECS: dict[str, tuple[str, Codec, Codec]] = {
    "snappy text": ("snappy", bindgen("compress"), bindgen("decompress")),
    "snappy raw": ("snappy", bindgen("compress_raw"), bindgen("decompress_raw")),
    "brotli": ("brotli", bindgen("compress", OPTIONS), bindgen("decompress")),
    "zstd 1": ("zstd", zstd("m", lambda n: n + 1024, 1), zstd("r", lambda n: 1 << 18)),
    "zstd 9": ("zstd", zstd("m", lambda n: n + 1024, 9), zstd("r", lambda n: 1 << 18)),
}


@pytest.fixture(params=CODECS)
def codec(request, twins) -> tuple[Twins, Codec, Codec, bool]:
    name, pack, unpack = CODECS[request.param]
    box = twins(name)
    if name == "zstd":
        box.call("g")  # emscripten: __wasm_call_ctors
    return box, pack, unpack, request.param == "snappy text"


def test_what_is_compressed_comes_back(codec):
    box, pack, unpack, is_text_only = codec
    for name, content in CONTENTS.items():
        if name == "noise" and is_text_only:
            continue
        packed = pack(box, content)
        assert packed is not None, name
        if name in ("zeros", "text"):
            assert len(packed) < len(content) / 5
        assert unpack(box, packed) == content, name


def test_damaged_data_is_handled_the_same_in_every_engine(codec):
    box, pack, unpack, _ = codec
    rng = Random(9)
    packed = pack(box, CONTENTS["text"])
    assert packed is not None
    for _ in range(DAMAGES):
        damaged = bytearray(packed)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            unpack(box, bytes(damaged[: rng.randint(1, len(damaged))]))
        except CallEnded:  # the same trap in every engine
            box.restart()
            if box.guest.name == "zstd":
                box.call("g")


def png(width: int, height: int, pixels: bytes) -> bytes:
    """An RGBA image, written without filters."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[4 * width * y : 4 * width * (y + 1)] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def decode_png(box: Twins, image: bytes) -> tuple[int, int, bytes]:
    """Size and pixels as the module hands them to the host: ImageData(pointer, length, width, height)."""
    address = box.call("__wbindgen_malloc", len(image), 1)
    box.call("decode", box.put(address, image), len(image))
    pointer, length, width, height = next(args for name, args in box.host_calls if "clampedarray" in name)
    return width, height, box.read(pointer, length)


def test_png_images_are_decoded_and_encoded(twins):
    rng = Random(10)
    box = twins("png")
    for width, height in ((1, 1), (3, 5), (64, 17)):
        pixels = rng.randbytes(4 * width * height)
        assert decode_png(box, png(width, height, pixels)) == (width, height, pixels)
        back = box.call("__wbindgen_add_to_stack_pointer", -16)
        address = box.call("__wbindgen_malloc", len(pixels), 1)
        box.call("encode", back, box.put(address, pixels), len(pixels), width, height, 8)
        encoded = box.read(*struct.unpack("<2I", box.read(back, 8)))
        box.call("__wbindgen_add_to_stack_pointer", 16)
        assert decode_png(box, encoded) == (width, height, pixels)


@pytest.mark.parametrize("module", ["qoi-encoder", "qoi-decoder"])
def test_embind_modules_register_the_same_things(twins, module):
    box = twins(module)
    assert isinstance(box.try_call("u"), Ok)  # emscripten: __wasm_call_ctors
    assert len(box.host_calls) > 10
