"""Two network namespaces as two hosts, which share no folder and find each other over TCP."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

PROGRAM = Path(__file__).with_name("runs.py")
HOSTS = ("spurcli-host0", "spurcli-host1")


def ip(words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts() -> Iterator[tuple[str, ...]]:
    """Two namespaces with a cable between them: 10.213.0.1 and 10.213.0.2."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("two hosts need root and the ip command (iproute2)")
    try:
        for host in HOSTS:
            ip(f"netns delete {host}")  # that of a run which was killed
            if (made := ip(f"netns add {host}")).returncode:
                pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
        cable = ip("link add spurcli0 type veth peer name spurcli1")
        if cable.returncode:
            pytest.skip(f"no virtual cable here: {cable.stderr.strip()}")
        for number, host in enumerate(HOSTS):
            for words in (
                f"link set spurcli{number} netns {host}",
                f"-n {host} addr add 10.213.0.{number + 1}/24 dev spurcli{number}",
                f"-n {host} link set spurcli{number} up",
                f"-n {host} link set lo up",
            ):
                assert ip(words).returncode == 0, words
        yield HOSTS
    finally:
        for host in HOSTS:
            ip(f"netns delete {host}")


def test_two_hosts_train_as_one(hosts, runs, tmp_path):
    processes = []
    for number, host in enumerate(hosts):
        (folder := tmp_path / host).mkdir()
        place = f"--nnodes=2 --node-rank={number} --nproc-per-node=1 --master-addr=10.213.0.1 --master-port=29517"
        words = ["ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run", *place.split()]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": f"spurcli{number}"}
        processes.append(
            subprocess.Popen(
                [*words, str(PROGRAM), "train", str(folder)], stderr=subprocess.PIPE, text=True, env=environment
            )
        )
    try:
        for process in processes:
            _, err = process.communicate(timeout=900)
            assert process.returncode == 0, err[-2000:]
    finally:
        for process in processes:
            process.terminate()
    assert not list((tmp_path / hosts[1]).iterdir())  # the second host writes nothing
    (alone := tmp_path / "alone").mkdir()
    runs.methods(runs.World(), alone)
    for name in runs.METHODS:
        mine, theirs = (
            safetensors.torch.load_file(folder / f"{name}.safetensors") for folder in (tmp_path / hosts[0], alone)
        )
        for key in theirs:
            torch.testing.assert_close(mine[key], theirs[key], rtol=1e-4, atol=1e-5, msg=f"{name}: {key}")
