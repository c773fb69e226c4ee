"""MiniRocket in the peers' environment: reads an .npz of both parts, prints accuracy (or RMSE) and seconds as JSON.

aeon takes series of one length; shorter ones get zeros after their end (its documented advice).
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np


def main(path: str, seeds: int) -> None:
    from aeon.classification.convolution_based import MiniRocketClassifier
    from aeon.regression.convolution_based import MiniRocketRegressor

    arrays = np.load(path)
    regression = arrays["y_train"].dtype.kind == "f"
    results = []
    for seed in range(-1, seeds):  # the first run compiles
        start = time.perf_counter()
        model = (MiniRocketRegressor if regression else MiniRocketClassifier)(random_state=max(seed, 0), n_jobs=-1)
        model.fit(arrays["x_train"], arrays["y_train"])
        predicted = model.predict(arrays["x_test"])
        seconds = time.perf_counter() - start
        if regression:
            score = {"rmse": float(np.sqrt(np.mean((predicted - arrays["y_test"]) ** 2)))}
        else:
            score = {"accuracy": float(np.mean(predicted == arrays["y_test"]))}
        if seed >= 0:
            results.append({**score, "seconds": seconds})
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
