"""Who teaches: frozen detectors of MMDet, models from outside it, what a config says of them, how accurate they are."""
