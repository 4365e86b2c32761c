#!/bin/sh
# Run a command on a GPU that no other job of this folder has.   GPUS="0 1 2 3" gpu.sh COMMAND...
#
# For one machine; a scheduler hands out GPUs itself. "0 0 1 1" lets two jobs share one. A place is taken by a lock on a file,
# which the system takes back when the job ends, however it ends.
set -eu
mkdir -p .snakemake
while :; do
    place=0
    for gpu in $GPUS; do
        place=$((place + 1))
        exec 9> ".snakemake/gpu-$place.lock"
        if flock -n 9; then
            export CUDA_VISIBLE_DEVICES="$gpu"
            exec "$@"
        fi
    done
    sleep 1
done
