"""What of a face speaks for the model's answer: five regions, exactly, and what they add up to."""
