"""How every comparison of this project is run: paired seeds, one row a run, tables made from the rows alone."""
from .runs import PseudoLabelling, Run, execute
from .study import Study, write_rows

__all__ = ['PseudoLabelling', 'Run', 'Study', 'execute', 'write_rows']
