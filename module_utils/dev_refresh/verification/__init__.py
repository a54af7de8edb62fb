"""The look back: does the database fit the organisation? Separate from the code that seeds, so that it can disagree with it."""
