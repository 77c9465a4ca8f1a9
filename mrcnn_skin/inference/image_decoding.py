"""Decode JPEG and PNG inside the graph, for the export.

It gives the same pixels as data/files.py, with TensorFlow's operations only.
"""

import tensorflow as tf

UNREADABLE = "cannot be decoded: no whole JPEG or PNG"
TOO_LARGE = "too many pixels: {} are allowed"

_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112  # tag of EXIF
_HEADERS = 1 << 18  # bytes of a JPEG, or of a PNG's EXIF, that are searched


def decode_image(encoded, max_pixels):
    """Decode one image without raising errors.

    The EXIF orientation is applied; grey, palette and CMYK become RGB, alpha is
    dropped, 16 bits become 8. Unlike in Pillow, an orientation in XMP alone is ignored.
    A JPEG has no checksum, so changed bytes may decode to other pixels.

    Args:
        encoded: string scalar, JPEG or PNG.
        max_pixels: highest height * width that is decoded.

    Returns:
        image: uint8 [h, w, 3], RGB; one black pixel with an error.
        error: string scalar: empty, UNREADABLE or TOO_LARGE.
    """
    # A graph has no "try", but a tf.data.Dataset can skip errors
    image = tf.data.Dataset.from_tensors(encoded)
    image = image.map(lambda encoded: _decode(encoded, max_pixels)).ignore_errors()
    fallback = tf.data.Dataset.from_tensors((_blank(), UNREADABLE))
    return image.concatenate(fallback).take(1).get_single_element()


def _decode(encoded, max_pixels):
    """Decode as decode_image, but raise tf.errors.InvalidArgumentError."""
    is_png = _is_png(encoded)
    size = tf.cond(
        is_png,
        lambda: _png_size(encoded),
        lambda: tf.io.extract_jpeg_shape(encoded, tf.int32)[:2],
    )
    fits = tf.reduce_prod(tf.cast(size, tf.int64)) <= max_pixels
    image = tf.case(
        [
            (~fits, _blank),
            (is_png, lambda: tf.io.decode_png(encoded, channels=3)),
        ],
        default=lambda: _decode_jpeg(encoded),
    )
    image = turn_upright(image, exif_orientation(encoded))
    return image, tf.where(fits, "", TOO_LARGE.format(max_pixels))


def _is_png(encoded):
    return tf.strings.substr(encoded, 0, len(_PNG)) == _PNG


def _blank():
    return tf.zeros([1, 1, 3], tf.uint8)


def _png_size(encoded):
    """Return (height, width) of the header, int32 [2]."""
    width_and_height = tf.strings.substr(encoded, len(_PNG) + 8, 8)
    size = tf.io.decode_raw(width_and_height, tf.int32, little_endian=False)
    return tf.ensure_shape(size, [2])[::-1]


def _decode_jpeg(encoded):
    # Pillow's method; TensorFlow's default may be a faster, less accurate one
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def turn_upright(image, orientation):
    """Rotate and flip an image [h, w, channels] by its EXIF orientation, 1..8."""

    def is_one_of(*values):
        return tf.reduce_any(orientation == tf.constant(values))

    for wanted, turn in (
        (is_one_of(5, 6, 7, 8), lambda image: tf.transpose(image, [1, 0, 2])),
        (is_one_of(3, 4, 7, 8), lambda image: image[::-1]),
        (is_one_of(2, 3, 6, 7), lambda image: image[:, ::-1]),
    ):
        image = tf.cond(wanted, lambda i=image, t=turn: t(i), lambda i=image: i)
    return image


def exif_orientation(encoded):
    """Return the EXIF orientation of a JPEG or PNG, int32 1..8; 1 if none."""
    at = tf.cond(
        _is_png(encoded), lambda: _exif_of_png(encoded), lambda: _exif_of_jpeg(encoded)
    )

    def read():
        raw = tf.io.decode_raw(tf.strings.substr(encoded, at, _HEADERS), tf.uint8)
        raw = tf.pad(tf.cast(raw, tf.int32), [[0, 16]])  # to look ahead at the end
        return _tiff_orientation(raw)

    orientation = tf.cond(at > 0, read, lambda: 1)
    is_known = (orientation >= 1) & (orientation <= 8)
    return tf.where(is_known, orientation, 1)


def _exif_of_png(png):
    """Return the offset of the TIFF in the first eXIf chunk of a PNG; 0 if none.

    A chunk has its length, its name, its data, and a checksum of four bytes.
    """
    end = tf.cast(tf.strings.length(png), tf.int64) - 8  # room for length and name

    def name(at):
        return tf.strings.substr(png, at + 4, 4)

    def following(at):
        length = tf.io.decode_raw(
            tf.strings.substr(png, at, 4), tf.int32, little_endian=False
        )[0]
        # The search must end whatever lengths a broken file has
        at += 12 + tf.maximum(tf.cast(length, tf.int64), 0)
        return [tf.minimum(at, end)]

    at = tf.while_loop(
        lambda at: (at < end) & (name(at) != b"eXIf"),
        following,
        [tf.constant(len(_PNG), tf.int64)],
    )[0]
    return tf.where(at < end, at + 8, 0)


def _exif_of_jpeg(jpeg):
    """Return the offset of the TIFF in the EXIF segment of a JPEG; 0 if none."""
    raw = tf.io.decode_raw(tf.strings.substr(jpeg, 0, _HEADERS), tf.uint8)
    raw = tf.pad(tf.cast(raw, tf.int32), [[0, 16]])  # to look ahead at the end
    at = tf.while_loop(
        lambda at: _is_header(raw, at) & ~_is_exif(raw, at),
        lambda at: [at + 2 + raw[at + 2] * 256 + raw[at + 3]],
        [tf.constant(2)],
    )[0]
    return tf.cast(tf.where(_is_exif(raw, at), at + 10, 0), tf.int64)


def _is_header(raw, at):
    """Whether a JPEG segment before the pixels begins here."""
    return _equal(raw[at : at + 1], b"\xff") & ~_equal(raw[at + 1 : at + 2], b"\xda")


def _is_exif(raw, at):
    marker, name = raw[at : at + 2], raw[at + 4 : at + 10]  # between them its length
    return _equal(marker, b"\xff\xe1") & _equal(name, b"Exif\0\0")


def _equal(found, wanted):
    """Whether int32 [n] are these bytes; false after the end of the file."""
    return tf.cond(
        tf.size(found) == len(wanted),
        lambda: tf.reduce_all(found == list(wanted)),
        lambda: False,
    )


def _tiff_orientation(tiff):
    """Return the orientation tag in the first directory of a TIFF; 1 if none.

    tiff: int32 [bytes], beginning with byte order, 42, offset of the directory.
    """
    is_little = _equal(tiff[:2], b"II")

    def number(pair):
        pair = tf.where(is_little, pair[..., ::-1], pair)
        return pair[..., 0] * 256 + pair[..., 1]

    offset = tf.where(is_little, 4, 6)  # of four bytes those that are not 0
    directory = tf.minimum(number(tiff[offset : offset + 2]), tf.size(tiff) - 2)
    count = number(tiff[directory : directory + 2])
    entries = tiff[directory + 2 : directory + 2 + 12 * count]
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], [-1, 12])
    is_wanted = number(entries[:, :2]) == _ORIENTATION
    values = tf.boolean_mask(number(entries[:, 8:10]), is_wanted)
    return tf.concat([values, [1]], axis=0)[0]
