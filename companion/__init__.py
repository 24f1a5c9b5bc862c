"""The book's own machinery: studies, ledger of claims, statistics, chapters, figures. The library needs none."""
