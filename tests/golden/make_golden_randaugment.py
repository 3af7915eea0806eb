"""Write randaugment.npz: what torchvision's RandAugment makes of an image, with Pillow.

Needs torchvision (0.29.2 was used) and Pillow (13.0.0); the tests only read the file.
Run from the project's root:

    PYTHONPATH=. python tests/golden/make_golden_randaugment.py
"""

from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

from odyssey.data.synthetic import make_synthetic

PATH = Path(__file__).with_name("randaugment.npz")
MAGNITUDES = (4, 9, 30)
BINS = 31


def main():
    image = make_synthetic(10, 10).train_images[3, :, 4:22, 6:]  # 18 x 26 pixels
    H, W = image.shape[1:]
    pillow = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    space = RandAugment()._augmentation_space(BINS, (32, 32))
    arrays = {
        f"strengths_{name}": strength.numpy() for name, (strength, _) in space.items()
    }
    space = RandAugment()._augmentation_space(BINS, (H, W))
    for name, (strengths, signed) in space.items():
        for magnitude in MAGNITUDES:
            for negative in (False, True) if signed else (False,):
                strength = strengths[magnitude].item() if strengths.ndim else 0.0
                strength = -strength if negative else strength
                result = _apply_op(
                    pillow, name, strength, InterpolationMode.NEAREST, None
                )
                arrays[f"{name}_{magnitude}_{int(negative)}"] = np.asarray(
                    result
                ).transpose(2, 0, 1)
    np.savez_compressed(PATH, image=image, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
