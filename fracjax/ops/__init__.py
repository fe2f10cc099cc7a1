"""The layers that networks are made of: Flax's numbers, faster on XLA's CPU backend.

`FRACJAX_OPS=native` in the environment leaves every layer to Flax and XLA, on a CPU too; elsewhere
they are theirs anyway.

Dimension names: b batch, h height, w width, c channels (in), o channels out, i and j the taps of a
kernel or window.
"""

from fracjax.ops.batch_norm import BatchNorm as BatchNorm
from fracjax.ops.conv import Conv as Conv
from fracjax.ops.depthwise import DepthwiseConv as DepthwiseConv
from fracjax.ops.draws import Dropout as Dropout
from fracjax.ops.draws import DropPath as DropPath
from fracjax.ops.draws import fan_out_normal as fan_out_normal
from fracjax.ops.draws import glorot_uniform as glorot_uniform
from fracjax.ops.draws import normal_002 as normal_002
from fracjax.ops.pooling import max_pool as max_pool
from fracjax.ops.pooling import mean_pool as mean_pool
