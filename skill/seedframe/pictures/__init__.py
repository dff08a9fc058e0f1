"""Picture files: what they are, whether they decode, cutting and shrinking them gently, previews.

In: bytes and paths. Out: values and files. Everything is synchronous (callers run it in threads) and imports Pillow
only when it is needed. Failures are PictureError, or StoreError when the disk is to blame.
"""

from seedframe.pictures.crop import crop, resize_frame
from seedframe.pictures.headers import read_header, sniff
from seedframe.pictures.inspection import inspect, see_through, seedance_problems
from seedframe.pictures.preview import contact_strip, preview
from seedframe.pictures.references import data_uri, fit_reference
from seedframe.pictures.turbojpeg import turbojpeg_version
from seedframe.pictures.values import (
    MAX_PIXELS,
    MIMES,
    CropReport,
    FitReport,
    Header,
    Metadata,
    ReferenceLimits,
    Verified,
)
from seedframe.pictures.verify import differences, verify
from seedframe.pictures.writing import written_format

__all__ = [
    "MAX_PIXELS",
    "MIMES",
    "CropReport",
    "FitReport",
    "Header",
    "Metadata",
    "ReferenceLimits",
    "Verified",
    "contact_strip",
    "crop",
    "data_uri",
    "differences",
    "fit_reference",
    "inspect",
    "preview",
    "read_header",
    "resize_frame",
    "see_through",
    "seedance_problems",
    "sniff",
    "turbojpeg_version",
    "verify",
    "written_format",
]
