"""What follows from the definitions: fixed gates, infinite width, convolution, skips, kernel ridge regression."""
