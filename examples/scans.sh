#!/bin/sh
# From nothing to a weaker correlation, without group labels: audit a model, cut the first suspect, evaluate. Some minutes on a laptop.
set -eu
: "${SETTINGS:=--set training.epochs=6}"
python scans.py
own="--set preprocessing.image_size=32"
spurcli train --dataset scans/scans.csv --recipe own-images-cpu $own $SETTINGS

# What does the model lean on? Suspects by rank, and for each a groups file that covers every split. Without --finder
# all finders run, that of regions for some minutes more.
spurcli audit model.safetensors --finder columns --finder image-properties
spurcli evaluate model.safetensors --group-labels audit/suspects/1.groups.txt

# Cut: a quarter of the carriers, the hardest ones, beside as many carriers at random. Then train from scratch, and ask again.
spurcli score --dataset scans/scans.csv --recipe own-images-cpu $own $SETTINGS
spurcli prune --group-labels audit/suspects/1.groups.txt --group auto --fraction 0.25
spurcli train --keep keep.txt -o cut/model.safetensors
spurcli evaluate cut/model.safetensors --group-labels audit/suspects/1.groups.txt -o cut/evaluation.json
