"""Pure numba kernels over arrays; whatever they carry from call to call is an explicit argument."""
