"""LabelEnc (arXiv:2007.03282): encodings of the labels as an intermediate supervision."""
from .autoencoder import LabelEncAutoencoder
from .distance import LabelAdapter, encoding_distance
from .encoder import LabelEncoder
from .maps import LabelMap, label_map, label_maps, present_label_map

__all__ = ['LabelAdapter', 'LabelEncAutoencoder', 'LabelEncoder', 'LabelMap', 'encoding_distance', 'label_map',
           'label_maps', 'present_label_map']
