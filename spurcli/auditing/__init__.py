"""Which unlabelled features a model leans on: finders propose features, and the same statistics test all of them."""
