"""A shop as small as can be, to test the test kit: the till takes orders, the store packs them and tells the courier."""
