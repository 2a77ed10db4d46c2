"""Pictures of what a method sees, what detectors find, and how a run went."""
from .comparison import Panel, compare_picture
from .curve_panels import curve_names
from .curves import draw_curves
from .encodings import draw_encodings
from .energy import draw_energy
from .masks import draw_masks, mask_titles

__all__ = ['Panel', 'compare_picture', 'curve_names', 'draw_curves', 'draw_encodings', 'draw_energy', 'draw_masks',
           'mask_titles']
