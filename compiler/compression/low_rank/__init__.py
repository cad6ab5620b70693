"""Low rank: layers whose weight is nearly a product of smaller ones become those."""
