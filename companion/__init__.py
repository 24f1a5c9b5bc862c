"""The book's own machinery: studies, ledger of claims, statistics, chapters, figures. The library needs none."""

__all__ = ["chapter", "statistics"]
