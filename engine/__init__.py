"""WHO our contacts are and WHAT they did: contacts, items, orders, events, lists and the warehouse."""
