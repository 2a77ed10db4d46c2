"""What each term of distillation does to the student: its value, its gradient, its direction."""
