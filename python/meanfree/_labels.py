"""Labelled copies of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xarray import Dataset


def data_set(
    source: object, arrays: Mapping[str, Any], dims: tuple[str, ...], coords: Mapping[str, Any]
) -> Dataset:
    """Return an xarray.Dataset of arrays that share their dimensions."""
    try:
        import xarray as xr
    except ImportError as error:
        msg = "to_xarray needs xarray: pip install 'meanfree[xarray]'"
        raise ImportError(msg) from error
    return xr.Dataset(
        {name: (dims, values) for name, values in arrays.items()},
        coords={name: ((name,), values) for name, values in coords.items()},
        attrs={"source": repr(source)},
    )
