"""Reading a picture and writing a result once, with each kind of store.

A store has three methods:

    get(bucket, key)  -> Found                       raises NotFound, TooLarge, StoreError
    exists(bucket, key) -> bool                      raises StoreError
    create(bucket, key, body, content_type) -> bool  False: it was there already. Raises StoreError

`create` never replaces an object: two callers at once, and one of them gets False. StoreError means
"try again later"; whoever calls lets it through to the platform, which does.

Nothing of a provider is imported before its store is made. Where credentials come from:

s3   boto3's own: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (Lambda sets
     them); for other S3 stores AWS_ENDPOINT_URL_S3 besides.
cos  TENCENTCLOUD_SECRETID, TENCENTCLOUD_SECRETKEY, TENCENTCLOUD_SESSIONTOKEN (SCF sets them from the
     function's role), TENCENTCLOUD_REGION or COS_REGION.
oss  ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN; in FC those of
     the invocation's context win. FC_REGION or OSS_REGION, or an address of your own in OSS_ENDPOINT.
dir  None. STORE_DIR is the agent's `destination.dir.path`, more directories after a colon; a bucket is a
     directory's last name.
"""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from vedette_events import is_key, user_metadata

# A function has its memory, and a picture is 100 KB to a few MB.
LARGEST = 64 * 1024 * 1024


class StoreError(Exception):
    """It did not work, and may work later."""


class NotFound(Exception):
    """No such object."""


class TooLarge(Exception):
    """Larger than any picture."""


@dataclass(frozen=True)
class Found:
    """An object."""

    body: bytes
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def from_environment(default: str = "s3", environment: Optional[Mapping[str, str]] = None) -> Any:
    """The store that `STORE` names: `s3`, `cos`, `oss` or `dir`."""
    env = os.environ if environment is None else environment
    kind = env.get("STORE", default)
    if kind == "s3":
        return S3Store()
    if kind == "cos":
        return CosStore(
            region=env.get("COS_REGION") or env.get("TENCENTCLOUD_REGION", ""),
            secret_id=env.get("TENCENTCLOUD_SECRETID", ""),
            secret_key=env.get("TENCENTCLOUD_SECRETKEY", ""),
            token=env.get("TENCENTCLOUD_SESSIONTOKEN") or None,
        )
    if kind == "oss":
        region = env.get("OSS_REGION") or env.get("FC_REGION", "")
        return OssStore(
            endpoint=env.get("OSS_ENDPOINT") or f"https://oss-{region}-internal.aliyuncs.com",
            key_id=env.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""),
            key_secret=env.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ""),
            token=env.get("ALIBABA_CLOUD_SECURITY_TOKEN") or None,
        )
    if kind == "dir":
        return DirStore(*filter(None, env.get("STORE_DIR", "").split(os.pathsep)))
    raise ValueError(f"STORE is {kind!r}, expected s3, cos, oss or dir")


class S3Store:
    """AWS, MinIO, Ceph, SeaweedFS, and whatever else speaks S3.

    A store that does not know `If-None-Match` takes the second write too. The result is the same one, so
    that costs a PUT and nothing else.
    """

    def __init__(self, **client: Any) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        self._errors, self._answered = (BotoCoreError, ClientError), ClientError
        # Only AWS lives at a name per bucket for certain.
        own = client.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config = Config(
            connect_timeout=5,
            read_timeout=20,
            retries={"mode": "standard", "max_attempts": 2},
            # Stores other than AWS refuse or ignore the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if own else {},
            max_pool_connections=32,
        )
        self._s3 = boto3.client("s3", config=config, **client)

    def get(self, bucket: str, key: str) -> Found:
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key)
            body = _limited(answer["Body"], answer.get("ContentLength"), key)
        except self._errors as error:
            if self._code(error) == "NoSuchKey":  # and not NoSuchBucket, which somebody will put right
                raise NotFound(key) from None
            raise self._error("get", bucket, key, error) from error
        except OSError as error:  # cut off in the middle
            raise StoreError(f"get {bucket}/{key}: {error}") from error
        meta = {str(name).lower(): value for name, value in answer.get("Metadata", {}).items()}
        return Found(body, answer.get("ContentType", ""), meta)

    def exists(self, bucket: str, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=bucket, Key=key)
        except self._errors as error:
            # Without leave to list, AWS says 403 for what is not there. `create` decides in any case.
            if self._status(error) in (403, 404):
                return False
            raise self._error("head", bucket, key, error) from error
        return True

    def create(self, bucket: str, key: str, body: bytes, content_type: str) -> bool:
        for _ in range(3):
            try:
                self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
                return True
            except self._errors as error:
                if self._status(error) in (412, 304):  # old MinIO says 304
                    return False
                # 409: another write of this key is under way; the next try says how it ended.
                if self._status(error) != 409:
                    raise self._error("put", bucket, key, error) from error
        raise StoreError(f"put {bucket}/{key}: another write of it does not end")

    def _status(self, error: Exception) -> int:
        if not isinstance(error, self._answered):
            return 0
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)

    def _code(self, error: Exception) -> str:
        return error.response.get("Error", {}).get("Code", "") if isinstance(error, self._answered) else ""

    @staticmethod
    def _error(what: str, bucket: str, key: str, error: Exception) -> StoreError:
        return StoreError(f"{what} {bucket}/{key}: {error}")


class CosStore:
    """Tencent COS by its own face. A bucket with versioning ignores the create-only header."""

    def __init__(
        self, region: str, secret_id: str, secret_key: str, token: Optional[str] = None, **client: Any
    ) -> None:
        from qcloud_cos import CosClientError, CosConfig, CosS3Client, CosServiceError

        self._errors, self._answered = (CosClientError, CosServiceError), CosServiceError
        config = CosConfig(
            Region=region, SecretId=secret_id, SecretKey=secret_key, Token=token, Timeout=20, **client
        )
        self._cos = CosS3Client(config, retry=1)

    def get(self, bucket: str, key: str) -> Found:
        try:
            answer = self._cos.get_object(Bucket=bucket, Key=key)
            body = _limited(answer["Body"].get_raw_stream(), answer.get("Content-Length"), key)
        except self._errors as error:
            if self._is(error, 404) and error.get_error_code() == "NoSuchKey":
                raise NotFound(key) from None
            raise StoreError(f"get {bucket}/{key}: {error}") from error
        except OSError as error:
            raise StoreError(f"get {bucket}/{key}: {error}") from error
        return Found(body, answer.get("Content-Type", ""), user_metadata(answer))

    def exists(self, bucket: str, key: str) -> bool:
        try:
            self._cos.head_object(Bucket=bucket, Key=key)
        except self._errors as error:
            if self._is(error, 403, 404):
                return False
            raise StoreError(f"head {bucket}/{key}: {error}") from error
        return True

    def create(self, bucket: str, key: str, body: bytes, content_type: str) -> bool:
        try:
            # The SDK has no parameter of this name; what stands in `Metadata` is sent as headers.
            once = {"x-cos-forbid-overwrite": "true"}
            self._cos.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, Metadata=once)
        except self._errors as error:
            if self._is(error, 409):
                return False
            raise StoreError(f"put {bucket}/{key}: {error}") from error
        return True

    def _is(self, error: Exception, *statuses: int) -> bool:
        return isinstance(error, self._answered) and int(error.get_status_code() or 0) in statuses


class OssStore:
    """Alibaba OSS by its own face. A bucket with versioning ignores the create-only header."""

    def __init__(self, endpoint: str, key_id: str, key_secret: str, token: Optional[str] = None) -> None:
        import oss2

        self._oss = oss2
        self._auth = oss2.StsAuth(key_id, key_secret, token) if token else oss2.Auth(key_id, key_secret)
        self._endpoint = endpoint

    def get(self, bucket: str, key: str) -> Found:
        try:
            answer = self._bucket(bucket).get_object(key)
            body = _limited(answer, answer.content_length, key)
        except self._oss.exceptions.NoSuchKey:
            raise NotFound(key) from None
        except (self._oss.exceptions.OssError, OSError) as error:
            raise StoreError(f"get {bucket}/{key}: {error}") from error
        return Found(body, answer.content_type or "", user_metadata(answer.headers))

    def exists(self, bucket: str, key: str) -> bool:
        try:
            self._bucket(bucket).head_object(key)
        except self._oss.exceptions.OssError as error:
            if error.status in (403, 404):
                return False
            raise StoreError(f"head {bucket}/{key}: {error}") from error
        return True

    def create(self, bucket: str, key: str, body: bytes, content_type: str) -> bool:
        headers = {"x-oss-forbid-overwrite": "true", "Content-Type": content_type}
        try:
            self._bucket(bucket).put_object(key, body, headers=headers)
        except self._oss.exceptions.OssError as error:
            if error.status == 409:
                return False
            raise StoreError(f"put {bucket}/{key}: {error}") from error
        return True

    def _bucket(self, name: str) -> Any:
        return self._oss.Bucket(self._auth, self._endpoint, name, connect_timeout=5)


class DirStore:
    """A directory, as the agent's `destination.dir` writes it: metadata stand beside an object in `KEY.json`."""

    def __init__(self, *roots: "str | os.PathLike[str]") -> None:
        if not roots:
            raise ValueError("no directory is given: set STORE_DIR")
        self._roots = {Path(root).resolve().name: Path(root).resolve() for root in roots}
        if len(self._roots) < len(roots):
            raise ValueError("two directories of one name: a bucket is a directory's last name")

    def get(self, bucket: str, key: str) -> Found:
        path = self._path(bucket, key)
        try:
            with path.open("rb") as file:
                body = _limited(file, os.fstat(file.fileno()).st_size, key)
        except (FileNotFoundError, IsADirectoryError):
            raise NotFound(key) from None
        except OSError as error:
            raise StoreError(f"get {bucket}/{key}: {error}") from error
        told = self._beside(path)
        meta = told.get("metadata")
        meta = {str(k): str(v) for k, v in meta.items()} if isinstance(meta, Mapping) else {}
        return Found(body, str(told.get("content_type", "")), meta)

    def exists(self, bucket: str, key: str) -> bool:
        return self._path(bucket, key).is_file()

    def create(self, bucket: str, key: str, body: bytes, content_type: str) -> bool:
        path = self._path(bucket, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all, and a link replaces nothing.
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part") as part:
                part.write(body)
                part.flush()
                os.fsync(part.fileno())
                with contextlib.suppress(OSError):
                    os.fchmod(part.fileno(), 0o644)
                _link(part.name, path, body)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except FileExistsError:
            return False
        except OSError as error:
            raise StoreError(f"put {bucket}/{key}: {error}") from error
        return True

    def _path(self, bucket: str, key: str) -> Path:
        root = self._roots.get(bucket)
        if root is None:
            raise StoreError(f"no directory for bucket {bucket!r}: STORE_DIR has {', '.join(self._roots)}")
        if not root.is_dir():
            raise StoreError(f"{root} is not there: is the disk mounted?")
        if not is_key(key):
            raise NotFound(key)  # a path out of the directory, or none of ours
        return root / key

    @staticmethod
    def _beside(path: Path) -> Mapping[str, Any]:
        try:
            told = json.loads(path.with_name(path.name + ".json").read_bytes())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, Mapping) else {}


def _link(part: str, path: Path, body: bytes) -> None:
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        with path.open("xb") as file:  # no hard links here (vfat, some FUSE): create-only, if not at once
            file.write(body)
            file.flush()
            os.fsync(file.fileno())


def _limited(stream: Any, length: Any, key: str) -> bytes:
    if length is not None and int(length) > LARGEST:
        raise TooLarge(f"{key} has {length} bytes")
    body = stream.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise TooLarge(f"{key} has more than {LARGEST} bytes")
    if length is not None and len(body) != int(length):
        raise OSError(f"{len(body)} of {length} bytes came")
    return body
