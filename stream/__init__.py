"""How data moves: chunks, nodes, topology, runner and ledger. No science in here."""
