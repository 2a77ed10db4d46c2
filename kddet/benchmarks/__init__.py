"""What distillation costs: side by side in one process, as ratios; one file a thing that is measured."""
