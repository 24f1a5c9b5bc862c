"""What a run leaves: whole files, the fingerprint of the code, run records, and where they lie."""

__all__ = ["locations", "run_records"]
