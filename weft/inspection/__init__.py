"""Looking into trained nets: where they look, what layers see, how they tell rows apart."""
