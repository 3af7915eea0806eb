"""Write beta.npz: quantiles of the symmetric beta distribution, by SciPy.

Needs SciPy (1.17.1 was used); the tests only read the file, as Numba imports SciPy
wherever it is installed, in every process that a test starts.  Run from the project's
root:

    python tests/golden/make_golden_beta.py
"""

from pathlib import Path

import numpy as np
from scipy import special

PATH = Path(__file__).with_name("beta.npz")
ALPHAS = (0.2, 0.5, 1.0, 4.0, 200.0)
POINTS = 400


def main():
    probabilities = np.arange(1, POINTS) / POINTS
    quantiles = {
        f"alpha_{alpha}": special.betaincinv(alpha, alpha, probabilities)
        for alpha in ALPHAS
    }
    np.savez_compressed(PATH, probabilities=probabilities, **quantiles)


if __name__ == "__main__":
    main()
