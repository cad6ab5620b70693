"""The graph that all passes and backends share: flat, ordered, immutable SSA."""
