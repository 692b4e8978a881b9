"""Croissant metadata of the tables: the files and the description of each column.

Source: the Croissant format, version 1.0, http://mlcommons.org/croissant/1.0.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from spm.base.schemas import Column, Table

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
CITATION = (
    "Li, Zhao and Zhang, Electronics 2023, 12, 3558, https://doi.org/10.3390/electronics12173558"
)
DESCRIPTION = "Video clips of 1 s with their sound, boxes, labels, heat maps and scores."
LICENSES = {
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "mit": "https://opensource.org/license/mit",
}
MEDIA = {"frames": "sc:ImageObject", "pcm": "sc:AudioObject"}


def _type(data_type: pa.DataType) -> tuple[str, bool]:
    """Croissant's name of a type, and whether a cell holds a list of such values."""
    if isinstance(data_type, pa.ListType):
        return _type(data_type.value_type)[0], True
    if pa.types.is_floating(data_type):
        return "sc:Float", False
    if pa.types.is_integer(data_type):
        return "sc:Integer", False
    if pa.types.is_boolean(data_type):
        return "sc:Boolean", False
    return "sc:Text", False


def _field(table: Table, column: Column) -> dict[str, Any]:
    """The description of a column."""
    data_type, repeated = _type(column.type)
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{column.name}",
        "name": column.name,
        "description": column.description,
        "dataType": MEDIA.get(column.name, data_type),
        **({"repeated": True} if repeated else {}),
        "source": {"fileSet": {"@id": f"{table.name}-files"}, "extract": {"column": column.name}},
    }


def _files(table: Table) -> dict[str, Any]:
    """The description of the files of a table."""
    return {
        "@type": "cr:FileSet",
        "@id": f"{table.name}-files",
        "name": f"{table.name}-files",
        "description": table.description,
        "encodingFormat": "application/x-parquet",
        "includes": table.files,
    }


def _records(table: Table) -> dict[str, Any]:
    """The description of the rows of a table."""
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.description,
        "field": [_field(table, column) for column in table.columns],
    }


def croissant(
    name: str, license_: str, url: str | None, present: Sequence[Table]
) -> dict[str, Any]:
    """The metadata of a data set as JSON-LD.

    Parameters
    ----------
    name : str
        Name of the data set.
    license_ : str
        License of the media, by Hugging Face's names.
    url : str, optional
        Address of the published data set.
    present : sequence of Table
        The tables that lie beside the metadata.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": DESCRIPTION,
        "license": LICENSES.get(license_, license_),
        **({"url": url} if url else {}),
        "version": "1.0.0",
        "citeAs": CITATION,
        "creator": {"@type": "sc:Organization", "name": "made by spm"},
        "distribution": [_files(table) for table in present],
        "recordSet": [_records(table) for table in present],
    }
