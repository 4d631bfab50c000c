"""What a person types; the only code that sees all layers."""
