#!/bin/sh
# A CI job: one pipe from scores to a trained model, then a number that decides. No prompts, no colours, only exit codes.
# If a stage fails, the later stages fail too: they report an empty pipe and exit with 3.
set -eu
: "${DATASET:=demo}" "${FRACTION:=0.1}" "${SETTINGS:=}" "${FLOOR:=0.5}"

spurcli score --dataset "$DATASET" $SETTINGS -o - |
    spurcli prune - --fraction "$FRACTION" --per-class -o - |
    spurcli train --keep - -o model.safetensors --json > training.json

spurcli evaluate model.safetensors --json > result.json
python - "$FLOOR" <<'PYTHON'
import json, sys
accuracy = json.load(open("result.json"))["metrics"]["accuracy"]
print(f"accuracy {accuracy['value']:.3f}, 95 % interval {accuracy['interval'][0]:.3f} to {accuracy['interval'][1]:.3f}")
sys.exit(accuracy["interval"][0] < float(sys.argv[1]))
PYTHON
