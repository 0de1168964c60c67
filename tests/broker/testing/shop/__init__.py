"""A shop as small as it can be, for tests of the test kit: the till takes orders, the store packs them and tells the courier."""
