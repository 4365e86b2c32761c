"""Two network namespaces as two hosts, which share no folder and find each other over TCP."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

PROGRAM = Path(__file__).with_name("runs.py")
HOSTS = ("spurcli-host0", "spurcli-host1")
# Enters a namespace, as `ip netns exec` does, and runs a program there.
ON_HOST = """
import ctypes, os, runpy, sys
host, *sys.argv = sys.argv[1:]
CLONE_NEWNET = 0x40000000
assert ctypes.CDLL(None, use_errno=True).setns(os.open(f"/run/netns/{host}", os.O_RDONLY), CLONE_NEWNET) == 0, ctypes.get_errno()
runpy.run_path(sys.argv[0], run_name="__main__")
"""


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


def test_two_hosts_train_as_one(hosts, runs, warm, tmp_path):
    """Each process has what torchrun would give it on its host; the first one's store is where they find each other."""
    common = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "10.213.0.1", "MASTER_PORT": "29517"}
    processes = []
    for rank, host in enumerate(hosts):
        (tmp_path / host).mkdir()
        said = tmp_path / f"{host}.said"
        environment = {**common, "RANK": str(rank), "GLOO_SOCKET_IFNAME": f"spurcli{rank}"}
        words = ["-c", ON_HOST, host, PROGRAM, "train", tmp_path / host]
        processes.append((warm.start(words, tmp_path, stdout=said, stderr=said, environment=environment), said))
    try:
        for process, said in processes:
            assert process.join(900) == 0, said.read_text()[-2000:]
    finally:
        for process, _ in processes:
            process.kill()
    assert not list((tmp_path / hosts[1]).iterdir())  # the second host writes nothing
    (alone := tmp_path / "alone").mkdir()
    runs.methods(runs.World(), alone)
    for name in runs.METHODS:
        mine, theirs = (
            safetensors.torch.load_file(folder / f"{name}.safetensors") for folder in (tmp_path / hosts[0], alone)
        )
        for key in theirs:
            torch.testing.assert_close(mine[key], theirs[key], rtol=1e-4, atol=1e-5, msg=f"{name}: {key}")
