"""What is read of a detector during one forward: names of taps, what they gave, forwards as deep as they ask for."""
