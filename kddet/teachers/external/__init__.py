"""Models from outside MMDet as teachers: files that are run, outputs by name, and what heads' readers see of them."""
