"""What follows from the definitions: fixed gates, infinite width, convolution, skips, kernel ridge regression."""

__all__ = ["convolution", "fixed_gates", "gate_statistics", "infinite_width", "kernel_ridge", "residual"]
