"""Choice of the code that packs and unpacks Zarr chunks."""

from __future__ import annotations

__all__ = ["use_fast_codecs"]


def use_fast_codecs() -> str:
    """Let zarr pack and unpack through zarrs, written in Rust, where it is installed; return the name in use.

    Arrays opened before keep what they had. Formats that zarrs does not know fall back to zarr-python by themselves.

    Returns
    -------
    str
        "zarrs" or "zarr-python".
    """
    try:
        import zarrs  # noqa: F401 - registers its pipeline
    except ImportError:
        return "zarr-python"
    import zarr

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    return "zarrs"
