"""Places that hold a Zarr: local folders, zip files, and URLs through fsspec."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_sam.errors import InputError
from napari_sam.paths import file_path

if TYPE_CHECKING:
    import zarr
    from zarr.abc.store import Store

__all__ = ["absolute", "file_facts", "is_remote", "join", "open_node", "refused", "transport_errors", "zip_of"]

CLOUD = "pip install 'napari-sam-stack[cloud]'"
# what the servers tell of a file without sending it: any change of it changes one of these
FACTS = ("size", "ETag", "Content-MD5", "LastModified", "Last-Modified", "mtime", "updated", "created")


def is_remote(location: str | Path) -> bool:
    """Return whether a location is a URL, of another scheme than `file://`, rather than a path."""
    return "://" in str(location) and file_path(location) is None


def absolute(location: str | Path) -> str:
    """Return a URL without a slash at its end, or an absolute path, `~` at its beginning as the home folder."""
    text = str(location)
    if is_remote(text):
        scheme, sign, rest = text.partition("://")
        return f"{scheme}{sign}{rest.rstrip('/')}"
    return os.path.abspath(os.path.expanduser(file_path(text) or text))


def join(location: str | Path, *parts: str) -> str:
    """Return the location of something inside another."""
    return "/".join([str(location).rstrip("/"), *(part.strip("/") for part in parts if part)])


def open_node(location: str | Path, mode: Literal["r", "r+"] = "r") -> zarr.Group | zarr.Array[Any]:
    """Open the group or array at a local folder, in a zip file (a path inside may follow) or at a URL.

    Settings of URLs (keys, an endpoint, …) come from where fsspec and its protocols look for them: the environment
    (`FSSPEC_S3_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, …) and their files; S3 without credentials is read anonymously.

    Raises
    ------
    InputError
        If there is no such place or no Zarr, access is denied, the server does not answer, or a package is missing.
    """
    import zarr

    location = absolute(location)
    if not is_remote(location) and not zip_of(location) and not os.path.exists(location):
        raise InputError(f"There is no {location}: give an existing Zarr.")
    try:
        store, inside = _store(location, mode)
        return zarr.open(store, mode=mode, path=inside)
    except ImportError as error:
        raise _missing(location, error) from error
    except (FileNotFoundError, zarr.errors.NodeTypeValidationError) as error:
        raise InputError(
            f"There is no Zarr at {location} (no zarr.json, .zarray or .zgroup): name the array or group itself."
        ) from error
    except transport_errors() as error:
        raise refused(location, error) from error
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"Cannot open {location} as Zarr ({_reason(error)}): its metadata is damaged.") from error


def file_facts(location: str, keys: Sequence[str]) -> list[str]:
    """Return for each file inside a location what changes when the file does, reading none of them.

    Of local files size and time of change; of a zip file or any single file those of the whole; of URLs what the
    server tells (ETag, size, time). A file that is not there is "absent".

    Raises
    ------
    InputError
        If the server does not answer or denies access.
    """
    if is_remote(location):
        return _remote_facts(location, keys)
    whole = zip_of(location) or (location if os.path.isfile(location) else None)
    if whole:
        return [_local_facts(whole)] * len(keys)
    return [_local_facts(join(location, key)) for key in keys]


def transport_errors() -> tuple[type[Exception], ...]:
    """Return what reading from a disk, a web server or S3 may raise, of the packages in use."""
    places = (("aiohttp", "ClientError"), ("botocore.exceptions", "BotoCoreError"))
    return (OSError, *(getattr(sys.modules[module], name) for module, name in places if module in sys.modules))


def refused(location: str, error: BaseException) -> InputError:
    """Return what to tell the user of one of `transport_errors` at a location."""
    if isinstance(error, PermissionError) or getattr(error, "status", 0) in (401, 403):
        return InputError(
            f"Access to {location} is denied ({_reason(error)}): check its permissions or your credentials."
        )
    if is_remote(location):
        return InputError(f"Cannot reach {location} ({_reason(error)}): check the address and the network.")
    return InputError(f"Cannot read {location} ({_reason(error)}): check the disk.")


def _store(location: str, mode: Literal["r", "r+"]) -> tuple[Store | str, str]:
    """Return a store, or the path of a folder, and the path inside."""
    from zarr.storage import FsspecStore, ZipStore

    if is_remote(location):
        return FsspecStore.from_url(location, storage_options=_options(location), read_only=mode == "r"), ""
    archive = zip_of(location)
    if archive:
        return ZipStore(archive, mode="r" if mode == "r" else "a"), location[len(archive) :].strip("/")
    return location, ""


def zip_of(location: str) -> str:
    """Return the zip file that a path leads to or into, "" if there is none."""
    if is_remote(location):
        return ""
    path = Path(location)
    return next(
        (str(part) for part in (path, *path.parents) if part.suffix.lower() in (".zip", ".ozx") and part.is_file()), ""
    )


def _options(location: str) -> dict[str, Any]:
    from fsspec.config import conf

    chosen = conf.get("s3", {})
    if location.startswith(("s3://", "s3a://")) and not {"anon", "key", "profile"} & set(chosen) and _no_credentials():
        return {"anon": True}
    return {}


@cache  # looking may ask the network
def _no_credentials() -> bool:
    from botocore.session import get_session

    return get_session().get_credentials() is None


def _local_facts(path: str) -> str:
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except OSError as error:
        raise refused(path, error) from error
    return f"{facts.st_size} {facts.st_mtime_ns}"


def _remote_facts(location: str, keys: Sequence[str]) -> list[str]:
    try:
        import fsspec

        # listings kept from before would not tell of changes
        files, _ = fsspec.url_to_fs(location, use_listings_cache=False, **_options(location))
    except ImportError as error:
        raise _missing(location, error) from error

    def facts(key: str) -> str:
        try:
            found = files.info(join(location, key))
        except FileNotFoundError as error:
            cause = error.__cause__  # fsspec calls any failure of a web server so
            if isinstance(cause, transport_errors()) and getattr(cause, "status", 0) != 404:
                raise cause from error
            return "absent"
        return " ".join(f"{name}={found[name]}" for name in FACTS if found.get(name) is not None)

    try:
        with ThreadPoolExecutor(min(16, max(1, len(keys)))) as threads:
            return list(threads.map(facts, keys))
    except transport_errors() as error:
        raise refused(location, error) from error


def _missing(location: str, error: ImportError) -> InputError:
    return InputError(f"Reading {location} needs a package that is not installed ({_reason(error)}): {CLOUD}.")


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0].rstrip(".")
