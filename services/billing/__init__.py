"""What care costs: prices, charges, invoices, and what is paid on them."""
