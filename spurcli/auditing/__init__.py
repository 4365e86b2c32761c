"""What a model leans on, when nobody has labelled it: finders propose features, all are judged by the same statistics."""
