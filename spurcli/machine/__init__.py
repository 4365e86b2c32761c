"""What `spurcli checks` looks at: the installed packages, the folders of data, weights and caches, the devices."""
