"""Reads a window file with pyarrow and prints what it found as one JSON object: schema, types, metadata, codecs and values."""

import json
import sys

import pyarrow.parquet as pq


def leaf(column):
    return {
        "path": column.path,
        "physical": column.physical_type,
        "logical": str(column.logical_type),
        "max_def": column.max_definition_level,
        "max_rep": column.max_repetition_level,
    }


def chunk(column):
    return {
        "path": column.path_in_schema,
        "compression": column.compression,
        "encodings": sorted(column.encodings),
        "stats": column.is_stats_set,
    }


def main(path, sample):
    file = pq.ParquetFile(path)
    metadata = file.metadata
    schema = file.schema
    answer = {
        "rows": file.read().to_pylist(),
        "leaves": [leaf(schema.column(i)) for i in range(len(schema))],
        "chunks": [
            chunk(metadata.row_group(group).column(i))
            for group in range(metadata.num_row_groups)
            for i in range(metadata.num_columns)
        ],
        "metadata": {key.decode(): value.decode() for key, value in metadata.metadata.items()},
        "format_version": metadata.format_version,
    }
    if sample:
        theirs = pq.ParquetFile(sample)
        answer["same_parquet_schema"] = schema.equals(theirs.schema)
        answer["same_arrow_schema"] = file.schema_arrow.equals(theirs.schema_arrow)
    json.dump(answer, sys.stdout)


main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
