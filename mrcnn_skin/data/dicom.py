"""Read dermoscopy images stored as DICOM files, with the optional package pydicom.

Only the elements that describe the pixels are parsed: no result or message contains
patient data. Series, several frames and segmentation objects are not supported.
"""

import numpy as np

SUFFIXES = (".dcm", ".dicom")

_PIXEL_ELEMENTS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    "PixelRepresentation",
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
]
_COLOURS = {
    **dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"), 3),
}
_DEFLATED = "1.2.840.10008.1.2.1.99"  # its decompressed size has no limit


class UnusableDicom(ValueError):
    """An unusable DICOM file; the message holds none of its data elements."""


def is_dicom(path):
    """Whether the file has DICOM's magic bytes, whatever its name."""
    with open(path, "rb") as handle:
        return handle.read(132)[128:] == b"DICM"


def dicom_size(path):
    """Return (height, width) from the header, or raise UnusableDicom."""
    return _shape(_read(path, _PIXEL_ELEMENTS))


def read_dicom(path, max_pixels):
    """Read the image of a DICOM file.

    RGB, YBR_FULL, YBR_FULL_422, YBR_RCT, YBR_ICT, PALETTE COLOR, MONOCHROME1 (0 is
    white) and MONOCHROME2 become RGB; BitsStored bits are scaled to 8.

    Args:
        path: of the file.
        max_pixels: maximum height * width, checked before decoding.

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        UnusableDicom: also if no decoder for the transfer syntax is installed.
    """
    header = _read(path, _PIXEL_ELEMENTS)
    height, width = _shape(header)
    if height * width > max_pixels:
        raise UnusableDicom(
            f"{height} x {width} pixels are more than the limit of {max_pixels}"
        )
    pixels, bits = _decode(_read(path, [*_PIXEL_ELEMENTS, "PixelData"]))
    if pixels.shape[:2] != (height, width) or pixels.dtype.kind != "u":
        raise UnusableDicom("the pixels do not match the header")
    scaled = np.minimum(pixels.astype(np.uint32), 2**bits - 1)
    scaled = ((scaled * 255 + 2 ** (bits - 1)) // (2**bits - 1)).astype(np.uint8)
    if header.PhotometricInterpretation == "MONOCHROME1":
        scaled = 255 - scaled
    return scaled if scaled.ndim == 3 else np.repeat(scaled[:, :, None], 3, axis=2)


def _read(path, elements):
    """Parse some elements of a file, and check that the pixels are supported."""
    pydicom = _import_pydicom()
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.TransferSyntaxUID == _DEFLATED:
            raise UnusableDicom("deflated DICOM files are not supported")
        dataset = pydicom.dcmread(path, specific_tags=elements)
        colour = dataset.PhotometricInterpretation
        samples, bits = dataset.SamplesPerPixel, dataset.BitsAllocated
        stored, signed = dataset.BitsStored, dataset.PixelRepresentation
        frames = int(dataset.get("NumberOfFrames") or 1)
    except (UnusableDicom, FileNotFoundError):
        raise
    # pydicom's messages may quote patient data: they are not passed on
    except Exception as error:
        raise UnusableDicom(
            f"broken or incomplete DICOM header ({type(error).__name__})"
        ) from None
    if _COLOURS.get(colour) != samples:
        raise UnusableDicom(
            f"photometric interpretation and samples must be of {_COLOURS}"
        )
    if bits not in (8, 16) or not 0 < stored <= bits or signed or frames != 1:
        raise UnusableDicom(
            "pixels must be unsigned, of at most 16 bits, in one frame, got "
            f"{stored} bits stored in {bits}, "
            f"{'signed' if signed else 'unsigned'}, {frames} frames"
        )
    return dataset


def _shape(dataset):
    height, width = dataset.get("Rows"), dataset.get("Columns")
    if not height or not width:
        raise UnusableDicom("the DICOM file has no rows or columns")
    return int(height), int(width)


def _decode(dataset):
    """Return (pixels [h, w] or [h, w, 3], bits of their values) of a data set."""
    from pydicom import pixels

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        array = pixels.pixel_array(dataset)
        if dataset.PhotometricInterpretation != "PALETTE COLOR":
            return array, dataset.BitsStored
        array = pixels.apply_color_lut(array, dataset)
        return array, array.dtype.itemsize * 8
    except NotImplementedError:
        name = syntax.name
    except Exception as error:
        if pixels.get_decoder(syntax).is_available:
            raise UnusableDicom(
                f"the pixel data cannot be decoded ({type(error).__name__})"
            ) from None
        name = syntax.name
    raise UnusableDicom(
        f"no decoder for {name} is installed; for most, pylibjpeg with "
        "pylibjpeg-libjpeg and pylibjpeg-openjpeg is one"
    ) from None


def _import_pydicom():
    try:
        import pydicom
    except ImportError:
        raise UnusableDicom(
            'DICOM files need the package pydicom: pip install "mrcnn_skin[dicom]"'
        ) from None
    return pydicom
