"""The table of forecast_peers in the page about forecasts."""

from __future__ import annotations

from collections.abc import Callable

from bench.tables import markdown, result


def peers() -> str:
    """Error, processor seconds and memory of each model on each set; the smallest error of a set is bold."""
    record = result("forecast_peers")
    rows = []
    for name, metric, words in (("M4 Hourly", "owa", "OWA"), ("ETTh1", "mse", "MSE")):
        models = record["figures"][name]
        best = min(row[metric] for row in models.values())
        for model, row in models.items():
            error = f"{row[metric]:.3f}"
            rows.append(
                [
                    f"{name}, {words}",
                    model if model.startswith("congru") else f"neuralforecast {model}",
                    f"**{error}**" if row[metric] == best else error,
                    f"{row['train'][1]:.0f}",
                    f"{row['predict'][1]:.2f}",
                    f"{row['peak_megabytes']}",
                ]
            )
    header = ["test set", "model", "error", "training, s", "forecasting, s", "peak memory, MB"]
    return markdown(header, rows)


BLOCKS: dict[str, Callable[[], str]] = {"forecast_peers": peers}
