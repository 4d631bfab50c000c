"""What is done to the data, in the order in which it is done."""
