"""Zips that this program writes."""

import io
import zipfile
from collections.abc import Mapping


def zip_of(files: Mapping[str, bytes | str]) -> bytes:
    """A zip of these files, by the names they have in it. The same files are the same bytes, whenever they are packed.

    All times in it are the first that a zip can say, 1980-01-01: those of a disk or a clock may lie outside 1980..2107,
    which a zip cannot hold (files of Nix and of container layers are of 1970; so is a computer without a clock).
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
