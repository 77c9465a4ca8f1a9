"""Decode JPEG and PNG inside the graph, for the export.

It gives the same pixels as data/files.py, with TensorFlow's operations only.
"""

import tensorflow as tf

UNREADABLE = "cannot be decoded: no whole JPEG or PNG"
TOO_LARGE = "too many pixels: {} are allowed"

_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112  # tag of EXIF
_LONG = 4  # type of a value of four bytes; others have two here


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
    file = _Bytes(encoded)
    at = tf.cond(
        _is_png(encoded), lambda: _exif_of_png(file), lambda: _exif_of_jpeg(file)
    )
    orientation = tf.cond(
        at > 0, lambda: _tiff_orientation(file, at), lambda: tf.constant(1, tf.int64)
    )
    is_known = (orientation >= 1) & (orientation <= 8)
    return tf.cast(tf.where(is_known, orientation, 1), tf.int32)


class _Bytes:
    """Parts of an encoded image; beyond its end are 16 zeros. Places are int64."""

    def __init__(self, encoded):
        self.end = tf.cast(tf.strings.length(encoded), tf.int64)
        self._padded = tf.strings.join([encoded, b"\0" * 16])

    def text(self, at, count):
        """Return `count` bytes as a string."""
        at = tf.clip_by_value(at, 0, self.end)
        return tf.strings.substr(self._padded, at, count)

    def numbers(self, at, count=1, kind=tf.uint16, is_little=False):
        """Return numbers, int64 [count]; is_little: their lowest bytes come first."""
        raw = self.text(at, count * kind.size)
        little, big = (tf.io.decode_raw(raw, kind, order) for order in (True, False))
        return tf.cast(tf.where(is_little, little, big), tf.int64)


def _exif_of_png(file):
    """Return the place of the TIFF in the first eXIf chunk of a PNG; 0 if none.

    A chunk has its length, its name, its data, and a checksum of four bytes.
    """
    at = tf.while_loop(
        lambda at: (at < file.end) & (file.text(at + 4, 4) != b"eXIf"),
        # The search must end whatever lengths a broken file has
        lambda at: [at + 12 + tf.maximum(file.numbers(at, kind=tf.int32)[0], 0)],
        [tf.constant(len(_PNG), tf.int64)],
    )[0]
    return tf.where(at < file.end, at + 8, 0)


def _exif_of_jpeg(file):
    """Return the place of the TIFF in the EXIF segment of a JPEG; 0 if none.

    A segment has its marker, its length from there on, and its data; pixels are last.
    """

    def is_exif(at):
        is_app1 = file.text(at, 2) == b"\xff\xe1"
        return is_app1 & (file.text(at + 4, 6) == b"Exif\0\0")

    def is_other_header(at):
        is_header = (file.text(at, 1) == b"\xff") & (file.text(at + 1, 1) != b"\xda")
        return is_header & ~is_exif(at)

    at = tf.while_loop(
        is_other_header,
        lambda at: [at + 2 + file.numbers(at + 2)[0]],
        [tf.constant(2, tf.int64)],
    )[0]
    return tf.where(is_exif(at), at + 10, 0)


def _tiff_orientation(file, start):
    """Return the orientation tag in the first directory of a TIFF; 1 if none."""
    is_little = file.text(start, 2) == b"II"
    offset = file.numbers(start + 4, 1, tf.int32, is_little)[0]
    directory = start + tf.maximum(offset, 0)
    count = file.numbers(directory, 1, is_little=is_little)[0]
    count = tf.minimum(count, tf.maximum(file.end - directory - 2, 0) // 12)
    entries = file.numbers(directory + 2, 6 * count, is_little=is_little)
    entries = tf.reshape(entries, [-1, 6])  # tag, type, two of count, two of value
    first, second = entries[:, 4], entries[:, 5]
    whole = tf.where(is_little, first + 65536 * second, 65536 * first + second)
    values = tf.where(entries[:, 1] == _LONG, whole, first)
    values = tf.boolean_mask(values, entries[:, 0] == _ORIENTATION)
    return tf.concat([values, [1]], axis=0)[0]
