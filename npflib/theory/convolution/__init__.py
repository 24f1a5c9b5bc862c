"""Convolutional networks behind fixed gates: their paths, their path kernel, and the theorem by sampling."""

from npflib.theory.convolution.kernel import flattened_path_kernel, pooled_path_kernel
from npflib.theory.convolution.paths import (
    ConvolutionPaths,
    bundle_feature,
    enumerate_paths,
    neural_path_feature,
    neural_path_value,
)
from npflib.theory.convolution.sampling import output, value_kernels

__all__ = [
    "ConvolutionPaths", "bundle_feature", "enumerate_paths", "flattened_path_kernel", "neural_path_feature",
    "neural_path_value", "output", "pooled_path_kernel", "value_kernels",
]  # fmt: skip
