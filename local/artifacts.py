"""Put built functions and layers where the embedded CloudFormation takes them from: a bucket."""

import contextlib
import io
import shutil
import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from local import digest
from local.engine import REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "tessera-local-artifacts"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SITE_PACKAGES = "python/lib/python3.13/site-packages"


class Artifacts:
    """Uploads by content: an artifact that is there already is not sent again."""

    def __init__(self, s3: "S3Client", layers: Path) -> None:
        """`layers` is a folder in which unpacked layers stay while functions use them."""
        self._s3 = s3
        self._layers = layers
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self._known = {
            item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []) if "Key" in item
        }

    def put(self, folder: Path) -> dict[str, str]:
        """Upload the function or layer built in `folder`; return its place as SAM writes it."""
        key = f"{folder.name}-{digest.of([folder])[:16]}"
        if key not in self._known:
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=self._packed(folder, key))
        return {"Bucket": BUCKET, "Key": key}

    def prune(self, keys: Collection[str]) -> None:
        """Delete every artifact but `keys`."""
        for key in self._known.difference(keys):
            self._s3.delete_object(Bucket=BUCKET, Key=key)
            shutil.rmtree(self._layers / key, ignore_errors=True)

    def put_text(self, key: str, text: str) -> str:
        """Upload a text; return its address."""
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
        return f"{self._s3.meta.endpoint_url}/{BUCKET}/{key}"

    def _packed(self, folder: Path, key: str) -> bytes:
        return self._linked(folder, key) if (folder / "python").is_dir() else _zipped(_members(folder))

    def _linked(self, layer: Path, key: str) -> bytes:
        """Pack a layer as a path to an unpacked copy.

        MiniStack unpacks every layer for every process of every function: 46 MB and half a second each.
        A .pth line in the layer's site-packages puts the one copy in front of the path instead.
        """
        shutil.copytree(layer, self._layers / key, dirs_exist_ok=True)
        line = f"import sys; sys.path.insert(0, {str(self._layers / key / 'python')!r})\n"
        return _zipped([(f"{_SITE_PACKAGES}/{key}.pth", line.encode())])


def _members(folder: Path) -> Iterable[tuple[str, bytes]]:
    return (
        (str(file.relative_to(folder)), file.read_bytes()) for file in sorted(folder.rglob("*")) if file.is_file()
    )


def _zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Zip `members`, (name, content), without times: the same content gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return packed.getvalue()
