"""What a run leaves: its record, whole files, the fingerprint of its code, and where they lie."""

from npflib.records.run_records import Record, RecordError, read, read_all

__all__ = ["Record", "RecordError", "read", "read_all"]
