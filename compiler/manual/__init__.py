"""The manual of the vocabulary, derived from classes and blocks: pages, examples, `docs/ops.md`."""
