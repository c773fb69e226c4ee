"""Streams: the CPU time of a step in Python, and the steps per second over WebSockets. `python -m benchmarks.streams`

The network has 100 units, mean and maximum; the series have 6 channels. The client runs on the same machine.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from websockets.asyncio.client import connect

from gatewise.model import Model, SeriesPreprocessor
from gatewise.network.architecture import Architecture, Layer, initial_parameters
from trust.server import serving

CHANNELS = 6
SECONDS = 4.0
RUNS = [(1, 1, 1), (10, 1, 1), (100, 1, 1), (1, 200, 1), (10, 100, 1), (1, 1, 50), (100, 1, 50)]


def model() -> Model:
    arch = Architecture("channels", CHANNELS, 0, (Layer(100),), pooling="mean+max")
    preprocessor = SeriesPreprocessor((1.0,) * CHANNELS, (2.0,) * CHANNELS)
    return Model.of_network(arch, initial_parameters(arch, np.random.default_rng(0)), preprocessor, ["a", "b"])


def cpu_ms(push: Callable[[], object]) -> float:
    times = []
    for _ in range(200):
        start = time.process_time()
        push()
        times.append(time.process_time() - start)
    return median(times) * 1e3


def in_python() -> None:
    network = model()
    values = np.random.default_rng(0).normal(size=(200, CHANNELS)).astype(np.float32)
    streams = network.streams(200)
    singles = [network.stream() for _ in range(200)]
    print(f"a tick of 200 streams: {cpu_ms(lambda: streams.push(values).probabilities):.2f} ms")
    pushes = cpu_ms(lambda: [single.push(row).probabilities for single, row in zip(singles, values, strict=True)])
    print(f"200 pushes to streams of one: {pushes:.1f} ms")


async def over_sockets(port: int, connections: int, streams: int, steps: int) -> tuple[int, float]:
    """Messages, and the median time of one in ms, of connections that each wait for an answer."""
    block = np.random.default_rng(0).normal(size=(streams, steps, CHANNELS)).round(3)
    if steps == 1:
        block = block[:, 0]
    message = json.dumps({"inputs": block.tolist()})
    times: list[float] = []

    async def client() -> None:
        async with connect(f"ws://127.0.0.1:{port}/stream", compression=None) as connection:
            await connection.send(json.dumps({"count": streams}))
            await connection.recv()
            end = time.perf_counter() + SECONDS
            while (start := time.perf_counter()) < end:
                await connection.send(message)
                assert "predictions" in json.loads(await connection.recv())
                times.append(time.perf_counter() - start)

    await asyncio.gather(*(client() for _ in range(connections)))
    return len(times), median(times) * 1e3


def main() -> None:
    in_python()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series"
        model().save(path)
        with serving(path, "--max-streams", 2000) as server:
            for connections, streams, steps in RUNS:
                before = _cpu_seconds(server.process.pid)
                messages, ms = asyncio.run(over_sockets(server.port, connections, streams, steps))
                cpu = (_cpu_seconds(server.process.pid) - before) / messages * 1e6
                rate = messages * streams * steps / SECONDS
                print(
                    f"{connections} connections with {streams} streams each, {steps} steps per message: {rate:,.0f} "
                    f"steps/s, {ms:.2f} ms per message, of which the server computes {cpu:,.0f} µs"
                )


def _cpu_seconds(pid: int) -> float:
    """The CPU time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
