"""Pure estimation: decay model, likelihood fit, beta, state models. No streams and no files."""
