"""What is read of a user's project: configs, classes, data, optimizer, logs; a Distiller laid over its config."""
