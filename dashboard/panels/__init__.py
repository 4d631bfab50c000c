"""The figure's panels, one plot a module."""
