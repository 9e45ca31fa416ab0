"""Writes zip files."""

import io
import zipfile
from collections.abc import Mapping


def zip_of(files: Mapping[str, bytes | str]) -> bytes:
    """The bytes of a zip of these files (name in the zip -> content). Equal files give equal bytes at any time.

    All timestamps are 1980-01-01, because those of a disk or clock may lie outside 1980..2107, the range of zip files
    (files from Nix or container layers are from 1970, as is the clock of some computers).
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
