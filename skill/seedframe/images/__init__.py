"""Picture files: what they are, whether they decode, cutting and shrinking them gently, previews.

In: bytes and paths. Out: values and files. Everything is synchronous (callers run it in threads) and imports Pillow
only when it is needed. Failures are PictureError, or StoreError when the disk is to blame.
"""

from seedframe.images.crop import crop, resize_frame
from seedframe.images.encoders import written_format
from seedframe.images.headers import read_header, sniff
from seedframe.images.inspection import inspect, see_through, seedance_problems
from seedframe.images.preview import contact_strip, preview
from seedframe.images.refit import data_uri, fit_reference
from seedframe.images.strip_metadata import strip
from seedframe.images.turbojpeg import turbojpeg_version
from seedframe.images.types import MAX_PIXELS, MIMES, CropReport, FitReport, Header, Metadata, Verified
from seedframe.images.verify import differences, verify

__all__ = [
    "MAX_PIXELS",
    "MIMES",
    "CropReport",
    "FitReport",
    "Header",
    "Metadata",
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
    "strip",
    "turbojpeg_version",
    "verify",
    "written_format",
]
