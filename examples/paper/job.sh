#!/bin/sh
# Run a command on so many threads and note the CPU seconds that it took.   job.sh FILE THREADS COMMAND...
#
# Left alone, torch starts as many threads as the machine has cores in each job. FILE gets two lines each time, as the shell's
# `times` writes them: user and system time of this shell, then of the command. What a killed job took until then is not noted. Where GPUS is set,
# ../grid/gpu.sh gives the job a GPU of its own.
set -u
file=$1 threads=$2
shift 2
export OMP_NUM_THREADS="$threads" MKL_NUM_THREADS="$threads"
${GPUS:+sh "$(dirname "$0")/../grid/gpu.sh"} "$@"
status=$?
mkdir -p "$(dirname "$file")"
times >> "$file" # not in a pipe: there it would be those of a subshell
exit $status
