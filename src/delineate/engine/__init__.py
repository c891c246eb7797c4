"""Load, predict, tile, train, evaluate."""
