"""How weights in the embedded pack were made: training-time code with needs of its own."""
