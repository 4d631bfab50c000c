"""What is done to the data, in the order in which it is done."""

from photonstream.nodes.compiled import keep_kernels

# Before any kernel is defined: numba decides then where it keeps it.
keep_kernels()
