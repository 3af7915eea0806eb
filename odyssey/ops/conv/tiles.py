"""The three products of a convolution of bfloat16, on the tiles of Intel's servers.

Here the buffers of ``kernels/conv_tiles.py`` and ``conv_tiles_grad_kernel.py`` are
laid out and their kernels are called; those say how they sum.  Images and their
gradients are uint16 arrays that hold bfloat16, kernel and bias are float32.  The kernel
is rounded to bfloat16 when it is laid out, the bias is not.  Sums are float32, as is
the gradient of the kernel; what goes to images is rounded once, after bias, addend and
relu.

Where the processor has no tiles, `worthwhile` says no.  The functions work all the
same, slowly, on an array that stands for the tiles.  A tile takes numbers below 2^-126
as zero.
"""

import numpy as np

from odyssey.kernels import conv_tiles as kernels
from odyssey.kernels import conv_tiles_grad_kernel as grad_kernels
from odyssey.kernels.simd import LANES
from odyssey.kernels.tile_kernel import kernel_to_tiles
from odyssey.kernels.tile_packing import Windows
from odyssey.kernels.tile_registers import TILE, WORDS, registers
from odyssey.kernels.tile_words import BLOCK
from odyssey.memory import workspace
from odyssey.processor import has_amx
from odyssey.threads import num_threads

#: Bytes of packed pixels that a thread works on at a time: a quarter of the second
#: cache of the processors that have tiles.  A constant, so that sums do not depend on
#: where they are computed.
PIECE = 512 * 1024


def worthwhile(
    kernel: np.ndarray, N: int, P: int, Q: int, product: str = "forward"
) -> bool:
    """Tell whether the tiles are the fastest way for this shape, and are there.

    They multiply some ten times as fast as vectors of float32 do, so that they pay
    where an eighth of what they multiply is wanted: an estimate, not yet measured.
    """
    K, C, R, S = kernel.shape
    if not has_amx() or max(R, S) > 7 or N * P * Q < BLOCK:
        return False
    numbers = _columns(C, S) * C
    wasted = _blocks(numbers, 16) * 16 / numbers * _blocks(K, 16) * 16 / K
    return C * K * R * S >= 256 and wasted < 8


def forward(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    stride: int,
    padding: int,
    out: np.ndarray,
    *,
    made: dict[str, np.ndarray] | None = None,
) -> bool:
    """Write the convolution of ``x`` (N, H, W, C) with ``kernel`` (K, C, R, S).

    It does not where the rounded kernel is not finite: zeros beside the image would
    meet an Inf there, or not, depending on how it is cut.
    """
    _, C, R, S = kernel.shape
    _, P, Q, K = out.shape
    columns = _columns(C, S)
    taps = np.array([(r, s) for r in range(R) for s in range(S)])
    matrix = workspace("kernel", (_words(K, columns * C, len(taps) // columns),), "f4")
    if not _lay_out(kernel, False, taps, columns, 0, matrix):
        return False
    windows = _windows(stride, (-padding, -padding), (R, S), (P, Q), C, columns)
    phases = np.array([(0, 0, P, Q, 0, R, 0, windows.S, 0)])
    _convolve(
        x=x,
        matrix=matrix,
        bias=bias,
        addend=addend,
        relu=relu,
        windows=windows,
        phases=phases,
        step=1,
        out=out,
    )
    return True


def grad_input(
    grad_output: np.ndarray,
    kernel: np.ndarray,
    addend: np.ndarray,
    stride: int,
    padding: int,
    out: np.ndarray,
) -> bool:
    """Write the gradient of the input (N, H, W, C), plus ``addend``.

    Pixel (h, w) = (i*stride + u, j*stride + v) gets what tap (r, s) made of it, at
    p = i + (u + padding - r) / stride, where that is whole, and q likewise: so it is a
    convolution of ``grad_output`` for each phase (u, v).  Of strides above 8, where
    phases are many and taps few, it does nothing.
    """
    if stride > 8:
        return False
    K, C, R, S = kernel.shape
    _, H, W, _ = out.shape
    rows, cols = _reaching(R, H, stride, padding), _reaching(S, W, stride, padding)
    top, left = (
        min((by[0][0] for by in side if by), default=0) for side in (rows, cols)
    )
    bottom, right = (
        max((by[-1][0] for by in side if by), default=0) for side in (rows, cols)
    )
    columns = _columns(K, S) if stride == 1 else 1
    spans = bottom - top + 1, right - left + 1
    windows = _windows(
        1, (top, left), spans, (-(-H // stride), -(-W // stride)), K, columns
    )
    phases, laid_out = [], []
    words = 0
    for u, in_rows in enumerate(rows):
        for v, in_columns in enumerate(cols):
            taps = [(r, s) for _, r in in_rows for _, s in in_columns]
            bounds = []
            for side, first in ((in_rows, top), (in_columns, left)):
                begin = side[0][0] - first if side else 0
                bounds += [begin, begin + len(side)]
            if columns > 1:
                bounds[2:] = 0, 1
            size = (H - u - 1) // stride + 1, (W - v - 1) // stride + 1
            phases.append((u, v, *size, *bounds, words))
            if taps:
                laid_out.append((np.array(taps), words))
                words += _words(C, columns * K, len(taps) // columns)
    matrix = workspace("kernel", (words,), "f4")
    for some, start in laid_out:
        if not _lay_out(kernel, True, some, columns, start, matrix):
            return False
    bias = np.zeros(C, np.float32)
    _convolve(
        x=grad_output,
        matrix=matrix,
        bias=bias,
        addend=addend,
        relu=False,
        windows=windows,
        phases=np.array(phases),
        step=stride,
        out=out,
    )
    return True


def grad_kernel(
    grad_output: np.ndarray, x: np.ndarray, stride: int, padding: int, out: np.ndarray
) -> bool:
    """Write the gradient of the kernel (K, C, R, S), float32.

    False where it is not finite: then zeros beside images have met an Inf or NaN.
    """
    K, C, R, S = out.shape
    N, P, Q, _ = grad_output.shape
    threads, columns = num_threads(), _columns(C, S)
    windows = _windows(stride, (-padding, -padding), (R, S), (P, Q), C, columns)
    blocks, c_blocks = _blocks(K, BLOCK), _blocks(columns * C, BLOCK)
    T = R * windows.S
    total_words = blocks * c_blocks * T * BLOCK * BLOCK
    # a larger piece is read from farther away, and fewer pieces read totals less often
    most = max(2 * PIECE, 4 * total_words)
    width = _blocks(columns * C, WORDS) * WORDS + _blocks(K, WORDS) * WORDS
    line = windows.U * windows.V * windows.columns * width * 2
    images, lines = _pieces(N, P, line, (R - 1) // stride, most, N)
    if images > BLOCK:
        images -= images % BLOCK
    groups = _blocks(N, images)
    images = _blocks(N, groups)
    images += images % 2
    windows = windows._replace(lines=lines + (R - 1) // stride)
    chunks = groups * _blocks(P, lines)
    most_parts = max(1, min(16, chunks, 2**21 // total_words))
    parts = 1 << most_parts.bit_length() - 1  # a power of two: threads get even parts
    splits = min(blocks, _blocks(threads, parts))
    steps = _blocks(Q * images, BLOCK)
    across = windows.V * windows.columns * images + steps * BLOCK - Q * images
    block_words = windows.U * windows.lines * across // 2 * WORDS + WORDS
    x_words = _blocks(columns * C, WORDS) * block_words
    g_words = 2 * _blocks(blocks, splits) * lines * steps * TILE
    totals = workspace("kernel", (parts, blocks, c_blocks, T, BLOCK, BLOCK), "f4")
    grad_kernels.grad_kernel_tiles(
        grad_output=grad_output,
        x=x,
        windows=windows,
        groups=groups,
        lines=lines,
        splits=splits,
        together=max(1, PIECE // (8 * lines * steps * TILE)),
        registers=registers(threads, has_amx()),
        packed=workspace("patches", (threads, x_words), "f4"),
        gradients=workspace("products", (threads, g_words), "f4"),
        totals=totals,
    )
    grad_kernels.totals_to_gradient(totals, columns, out)
    return bool(np.isfinite(out).all())


def _convolve(
    x: np.ndarray,
    matrix: np.ndarray,
    bias: np.ndarray,
    addend: np.ndarray,
    relu: bool,
    windows: Windows,
    phases: np.ndarray,
    step: int,
    out: np.ndarray,
) -> None:
    """Cut the images into pieces, and convolve them."""
    N, threads = len(x), num_threads()
    P, Q = int(phases[:, 2].max()), int(phases[:, 3].max())
    halo = (windows.R - 1) // windows.step
    row = WORDS * (_blocks(windows.numbers, BLOCK) | 1)
    line = windows.U * windows.V * windows.columns * row * 4
    images, lines = _pieces(N, P, line, halo, PIECE, BLOCK)
    strips = _blocks(P, lines)
    while images * Q > BLOCK and images > 1 and _blocks(N, images) * strips < threads:
        images //= 2
    groups = _blocks(N, images)
    images = _blocks(N, groups)
    windows = windows._replace(lines=lines + halo)
    # a block may read 32 rows beyond the last one
    pixels = windows.U * windows.lines * windows.V * windows.columns * images + BLOCK
    blocks = min(kernels.STRETCH, lines * _blocks(Q * images, BLOCK))
    kernels.convolve_tiles(
        x=x,
        matrix=matrix,
        bias=bias,
        addend=addend,
        relu=relu,
        windows=windows,
        phases=phases,
        step=step,
        groups=groups,
        lines=lines,
        registers=registers(threads, has_amx()),
        packed=workspace("patches", (threads, pixels * row), "f4"),
        sums=workspace("products", (threads, blocks * BLOCK * BLOCK), "f4"),
        out=out,
    )


def _windows(
    step: int,
    first: tuple[int, int],
    taps: tuple[int, int],
    results: tuple[int, int],
    C: int,
    columns: int,
) -> Windows:
    """Return what each result's pixel sees, with the lines of whole images."""
    R, S = taps[0], 1 if columns > 1 else taps[1]
    lines, across = results[0] + (R - 1) // step, results[1] + (S - 1) // step
    U, V = min(step, R), min(step, S)
    return Windows(
        step=step,
        top=first[0],
        left=first[1],
        R=R,
        S=S,
        U=U,
        V=V,
        lines=lines,
        columns=across,
        numbers=columns * C,
    )


def _pieces(
    N: int, P: int, line: int, halo: int, most: int, most_images: int
) -> tuple[int, int]:
    """Return how many images and lines to pack together, in ``most`` bytes.

    A ``line`` of one image has so many, and a piece ``halo`` lines more than results.
    Images are a power of two up to 32, so that they fill whole tiles.
    """
    fitting = most // (line * (P + halo))
    if fitting >= 1:
        images = min(N, fitting, most_images)
        if images < BLOCK and images < N:
            images = 1 << images.bit_length() - 1
        return images, P
    strips = _blocks(P, max(1, most // line - halo))
    return 1, _blocks(P, strips)


def _reaching(R: int, H: int, stride: int, padding: int) -> list[list[tuple[int, int]]]:
    """Return (dp, r) of the taps that reach each phase, along one axis, dp ascending.

    Pixel i*stride + u is seen by result p = i + dp at tap r.
    """
    return [
        sorted(
            ((u + padding - r) // stride, r)
            for r in range(R)
            if (u + padding - r) % stride == 0
        )
        for u in range(min(stride, H))
    ]


def _columns(C: int, S: int) -> int:
    """Return how many columns of taps to take as one: all, if it fills tiles better."""
    together, apart = _blocks(S * C, BLOCK), S * _blocks(C, BLOCK)
    return S if C < 2 * BLOCK and together < apart else 1


def _words(outputs: int, numbers: int, taps: int) -> int:
    """Return how many words the tiles of a kernel take."""
    return _blocks(outputs, BLOCK) * _blocks(numbers, BLOCK) * taps * 2 * TILE


def _lay_out(
    kernel: np.ndarray,
    turned: bool,
    taps: np.ndarray,
    columns: int,
    start: int,
    matrix: np.ndarray,
) -> bool:
    """Lay a kernel out as tiles, and tell whether all that was rounded is finite."""
    outputs, channels = kernel.shape[:2] if not turned else kernel.shape[1::-1]
    blocks = _blocks(outputs, BLOCK) * _blocks(columns * channels, BLOCK)
    checks = np.zeros((blocks, LANES), np.float32)
    kernel_to_tiles(kernel, turned, taps, columns, start, matrix, checks)
    return bool(np.isfinite(checks).all())


def _blocks(count: int, size: int) -> int:
    return -(-count // size)
