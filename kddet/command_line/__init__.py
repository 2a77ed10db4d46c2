"""What the tools share: arguments, errors in a sentence, the start and the end of processes."""
