#!/bin/sh
# Run a command on so many threads and note the CPU seconds that it took.   job.sh FILE THREADS SLOTS COMMAND...
#
# Left alone, torch starts as many threads as the machine has cores in each job. FILE gets two lines each time, as the shell's
# `times` writes them: user and system time of this shell, then of the command. What a killed job took until then is not noted. No
# more than SLOTS jobs of this folder run at a time (0: as many as come), by locks that the system takes back however a job ends. Where
# GPUS is set, gpu.sh of `spurcli compare` gives the job a GPU of its own.
set -u
file=$1 threads=$2 slots=$3
shift 3
export OMP_NUM_THREADS="$threads" MKL_NUM_THREADS="$threads"
command -v flock > /dev/null || slots=0
place=0
while [ "$slots" -gt 0 ]; do
    place=$((place % slots + 1))
    exec 8> ".snakemake/slot-$place.lock"
    flock -n 8 && break
    [ $place -lt "$slots" ] || sleep 1
done
${GPUS:+sh "$(dirname "$0")/../../spurcli/comparing/gpu.sh"} "$@"
status=$?
mkdir -p "$(dirname "$file")"
times >> "$file" # not in a pipe: there it would be those of a subshell
exit $status
