"""How long a layer will take and what its code will weigh, before any of it is made."""
