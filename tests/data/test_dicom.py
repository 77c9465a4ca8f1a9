"""DICOM files of every colour model, made here; none of their patient data gets out."""

import builtins
import traceback

import numpy as np
import pytest
from PIL import Image

from mrcnn_skin.data import files
from mrcnn_skin.data.dicom import UnusableDicom, dicom_size, read_dicom
from mrcnn_skin.data.file_names import is_image_file

pydicom = pytest.importorskip("pydicom")

LIMIT = 10**6
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [40, 80, 120]]], np.uint8)
SECRET = "Doe^Jane"


def write(path, pixels, photometric, **elements):
    """Write [h, w] or [h, w, 3] pixels as they are, with a patient's name."""
    from pydicom.uid import ExplicitVRLittleEndian, VLPhotographicImageStorage

    dataset = pydicom.Dataset()
    dataset.PatientName = dataset.PatientID = SECRET
    dataset.SOPClassUID = VLPhotographicImageStorage
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name, value in elements.items():
        owner = dataset.file_meta if name == "TransferSyntaxUID" else dataset
        setattr(owner, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_rgb(tmp_path):
    path = write(tmp_path / "a.dcm", RGB, "RGB")
    image = files.read_image(path)
    np.testing.assert_array_equal(image, RGB)
    assert image.dtype == np.uint8 and image.flags.writeable
    assert files.image_size(path) == dicom_size(path) == (2, 2)


def test_the_name_does_not_matter(tmp_path):
    path = write(tmp_path / "a.jpg", RGB, "RGB")
    np.testing.assert_array_equal(files.read_image(path), RGB)
    assert is_image_file("b.DCM")


def test_ybr_full(tmp_path):
    red = np.tile(np.array([76, 85, 255], np.uint8), (2, 2, 1))  # ITU-R BT.601
    image = read_dicom(write(tmp_path / "a.dcm", red, "YBR_FULL"), LIMIT)
    np.testing.assert_allclose(image[0, 0], [254, 0, 0], atol=2)


def test_ybr_full_422(tmp_path):
    """Two pixels share their colour differences: Y1 Y2 Cb Cr."""
    path = tmp_path / "a.dcm"
    packed = np.array([76, 149, 85, 255], np.uint8)
    shape = np.zeros((1, 2, 3), np.uint8)
    write(path, shape, "YBR_FULL_422", PixelData=packed.tobytes())
    image = read_dicom(path, LIMIT)
    assert image.shape == (1, 2, 3)
    np.testing.assert_allclose(image[0], [[254, 0, 0], [327 - 72, 73, 73]], atol=2)


@pytest.mark.parametrize("name, wanted", [("MONOCHROME1", 155), ("MONOCHROME2", 100)])
def test_monochrome(tmp_path, name, wanted):
    grey = np.full((2, 2), 100, np.uint8)
    image = read_dicom(write(tmp_path / "a.dcm", grey, name), LIMIT)
    np.testing.assert_array_equal(image, np.full((2, 2, 3), wanted))


def test_twelve_bits_are_scaled_by_what_is_stored(tmp_path):
    deep = np.array([[0, 4095], [2048, 16]], np.uint16)
    bits = {"BitsStored": 12, "HighBit": 11}
    path = write(tmp_path / "a.dcm", deep, "MONOCHROME2", **bits)
    # 255 / 4095 of each: 0, 255, 127.5, 1.0
    np.testing.assert_array_equal(read_dicom(path, LIMIT)[..., 0], [[0, 255], [128, 1]])


def test_palette(tmp_path):
    tables = {}
    for colour, values in (("Red", (0, 255)), ("Green", (10, 0)), ("Blue", (20, 128))):
        name = f"{colour}PaletteColorLookupTable"
        tables[f"{name}Descriptor"] = [2, 0, 8]
        tables[f"{name}Data"] = bytes(values)
    indices = np.array([[0, 1], [1, 0]], np.uint8)
    path = write(tmp_path / "a.dcm", indices, "PALETTE COLOR", **tables)
    dark, red = (0, 10, 20), (255, 0, 128)
    np.testing.assert_array_equal(read_dicom(path, LIMIT), [[dark, red], [red, dark]])


def encapsulated(tmp_path, form, syntax, photometric, **options):
    """A DICOM file around a JPEG or JPEG 2000 of 16 x 16 red pixels."""
    jpeg = tmp_path / f"red.{form}"
    Image.new("RGB", (16, 16), (255, 0, 0)).save(jpeg, **options)
    data = pydicom.encaps.encapsulate([jpeg.read_bytes()])
    pixels = np.zeros((16, 16, 3), np.uint8)
    return write(
        tmp_path / "a.dcm",
        pixels,
        photometric,
        PixelData=data,
        TransferSyntaxUID=getattr(pydicom.uid, syntax),
    )


def test_jpeg_inside(tmp_path):
    options = {"quality": 95, "subsampling": 1}
    path = encapsulated(tmp_path, "jpg", "JPEGBaseline8Bit", "YBR_FULL_422", **options)
    image = files.read_image(path)
    assert image.shape == (16, 16, 3)
    np.testing.assert_allclose(image[8, 8], [255, 0, 0], atol=4)


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    path = encapsulated(tmp_path, "jpg", "JPEGLSLossless", "RGB")
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEGLSLossless)
    monkeypatch.setattr(type(decoder), "is_available", False)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(files.UnreadableImage, match="no decoder for JPEG-LS.*install"):
        files.read_image(path)


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.dcm", RGB, "RGB")
    found = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pydicom":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(files.UnreadableImage, match=r"a.dcm.*mrcnn_skin\[dicom\]"):
        files.read_image(path)


@pytest.mark.parametrize(
    "elements, message",
    [
        ({"Rows": 2000, "Columns": 2000}, "2000 x 2000 pixels.*limit of 1000000"),
        ({"Rows": 3}, "cannot be decoded"),
        ({"NumberOfFrames": 2}, "one frame"),
        ({"PixelRepresentation": 1}, "unsigned"),
        ({"BitsStored": 0}, "0 bits stored"),
        ({"PhotometricInterpretation": "HSV"}, "photometric"),
        ({"SamplesPerPixel": 1}, "photometric"),
        ({"Rows": 0}, "no rows"),
        ({"PixelData": b""}, "decoded"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_unsupported_dicom_is_refused(tmp_path, elements, message):
    path = write(tmp_path / "a.dcm", RGB, "RGB", **elements)
    with pytest.raises(UnusableDicom, match=message):
        read_dicom(path, LIMIT)


def test_messages_of_pydicom_are_not_passed_on(tmp_path):
    path = write(tmp_path / "a.dcm", RGB, "RGB", NumberOfFrames="12345678")
    path.write_bytes(path.read_bytes().replace(b"12345678", SECRET.encode()))
    with pytest.raises(UnusableDicom, match="broken or incomplete") as caught:
        read_dicom(path, LIMIT)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_deflated_file_is_refused_unpacked(tmp_path):
    syntax = pydicom.uid.DeflatedExplicitVRLittleEndian
    path = write(tmp_path / "a.dcm", RGB, "RGB", TransferSyntaxUID=syntax)
    with pytest.raises(UnusableDicom, match="deflated"):
        dicom_size(path)


def test_patient_data_reach_no_message_and_no_result(tmp_path, caplog, recwarn):
    """Wrong values make pydicom quote them, were they read."""
    path = write(tmp_path / "a.dcm", RGB, "RGB")
    whole = path.read_bytes()
    seen = []
    for length in range(140, len(whole), 7):
        path.write_bytes(whole[:length])
        try:
            files.read_image(path)
        except files.UnreadableImage as error:
            seen.append(str(error))
    seen += [record.getMessage() for record in caplog.records]
    seen += [str(warning.message) for warning in recwarn.list]
    assert len(seen) > 20
    assert not any("Doe" in text or "Jane" in text for text in seen)
