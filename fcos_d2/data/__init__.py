"""Images, datasets and what the training loader does with them."""
