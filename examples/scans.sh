#!/bin/sh
# Reduce a correlation without group labels: audit a model, prune carriers of the first suspect, evaluate. Some minutes on a laptop.
set -eu
: "${SETTINGS:=--set training.epochs=6}"
python scans.py
own="--set preprocessing.image_size=32"
spurcli train --dataset scans/scans.csv --recipe own-images-cpu $own $SETTINGS

# What does the model lean on? The audit writes ranked suspects, each with a groups file for every split. Without --finder
# all finders run; the finder regions takes some more minutes.
spurcli audit model.safetensors --finder columns --finder image-properties
spurcli evaluate model.safetensors --suspect audit:1

# Remove the hardest quarter of the carriers, and as a control as many random ones. Then train from scratch and evaluate again.
spurcli score --dataset scans/scans.csv --recipe own-images-cpu $own $SETTINGS
spurcli prune --group-labels audit/suspects/1.groups.txt --group auto --fraction 0.25
spurcli train --keep keep.txt -o cut/model.safetensors
spurcli evaluate cut/model.safetensors --suspect audit:1 -o cut/evaluation.json
