"""Picture files: format, verification, cutting and shrinking with little loss, previews.

In: bytes and paths. Out: values and files. Everything is synchronous (callers run it in threads) and imports Pillow
only when it is needed. Failures are PictureError, or StoreError when the disk fails.
"""

from seedframe.images.crop import carry_out, crop, resize_frame
from seedframe.images.decoding import guarded
from seedframe.images.encoders import written_format
from seedframe.images.file_check import CheckedFile, FileChecks, FileStamp
from seedframe.images.headers import read_header, sniff
from seedframe.images.inspection import inspect, see_through, seedance_problems
from seedframe.images.preview import contact_strip, preview
from seedframe.images.refit import fit_reference, refit_reasons
from seedframe.images.strip_metadata import strip
from seedframe.images.turbojpeg import turbojpeg_version
from seedframe.images.types import MAX_PIXELS, MIMES, CropReport, FitReport, Header, Metadata, Verified
from seedframe.images.verify import differences, verify

__all__ = [
    "MAX_PIXELS",
    "MIMES",
    "CheckedFile",
    "CropReport",
    "FileChecks",
    "FileStamp",
    "FitReport",
    "Header",
    "Metadata",
    "Verified",
    "carry_out",
    "contact_strip",
    "crop",
    "differences",
    "fit_reference",
    "guarded",
    "inspect",
    "preview",
    "read_header",
    "refit_reasons",
    "resize_frame",
    "see_through",
    "seedance_problems",
    "sniff",
    "strip",
    "turbojpeg_version",
    "verify",
    "written_format",
]
