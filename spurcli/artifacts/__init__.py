"""The files that join the stages: reading, writing, checking. Nothing here imports torch at module level."""
