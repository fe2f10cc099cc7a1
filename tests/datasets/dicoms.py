"""Tiny DICOM files, written here; no scanner has seen them."""

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

DIGITAL_X_RAY = UID("1.2.840.10008.5.1.4.1.1.1.1")


def dataset(pixels: np.ndarray, **elements) -> FileDataset:
    """MONOCHROME2, or RGB where `pixels` has three axes; `elements` change or add to it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DIGITAL_X_RAY
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    file.SOPClassUID, file.SOPInstanceUID = DIGITAL_X_RAY, "1.2.3"
    file.Rows, file.Columns = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    file.BitsAllocated, file.BitsStored, file.HighBit = bits, bits, bits - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    if pixels.ndim == 3:
        file.SamplesPerPixel, file.PhotometricInterpretation = 3, "RGB"
        file.PlanarConfiguration = 0
    file.add_new("PixelData", "OB" if bits == 8 else "OW", pixels.tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that are wrong on purpose
        for name, value in elements.items():
            setattr(file, name, value)
    if "BitsStored" in elements:
        file.HighBit = file.BitsStored - 1
    return file


def encoded(file: FileDataset) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(out, file, enforce_file_format=True)
    return out.getvalue()


def dicom(pixels: np.ndarray, **elements) -> bytes:
    return encoded(dataset(pixels, **elements))


def compressed(code: bytes, syntax: str, pixels: np.ndarray, **elements) -> bytes:
    """A file whose one frame is `code`, and whose header describes `pixels`."""
    file = dataset(pixels, **elements)
    file.file_meta.TransferSyntaxUID = UID(syntax)
    file.PixelData = encapsulate([code])
    file["PixelData"].is_undefined_length = True
    return encoded(file)


def transcoded(data: bytes, name: str) -> bytes:
    """The same file in another transfer syntax of gdcm's, such as JPEGLosslessProcess14_1."""
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
        before.write_bytes(data)
        reader, change, writer = (
            gdcm.ImageReader(),
            gdcm.ImageChangeTransferSyntax(),
            gdcm.ImageWriter(),
        )
        reader.SetFileName(str(before))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(after))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return after.read_bytes()


def run_length(data: bytes) -> bytes:
    """The same file, run-length encoded."""
    from pydicom.uid import RLELossless

    file = dcmread(io.BytesIO(data))
    file.compress(RLELossless, generate_instance_uid=False)
    return encoded(file)


def lut(table, first: int, bits: int) -> Dataset:
    """An item of a modality or VOI LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(table), first, bits])
    item.add_new("LUTData", "US", list(table))
    return item
