"""Convolution with TensorFlow's "same" padding, for networks that were trained there."""

from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


class SameConv2d(nn.Conv2d):
    """(B, c, H, W) → (B, d, ⌈H/stride⌉, ⌈W/stride⌉).

    An odd number of zeros has the larger half after the last row and column; `padding` of
    `nn.Conv2d` has equal halves.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Pad by the size of the images, then convolve."""
        pads: list[int] = []
        for axis in (1, 0):  # columns first, as `pad` takes them
            size, stride = images.shape[2 + axis], self.stride[axis]
            extent = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            zeros = max(extent - stride + (-size) % stride, 0)
            pads += [zeros // 2, zeros - zeros // 2]
        left, right, top, bottom = pads
        if left == right and top == bottom:  # no copy of the images
            return conv2d(
                images, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups
            )
        return super().forward(pad(images, pads))
