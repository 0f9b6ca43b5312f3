"""GraphQL documents: parsed, limited, valid or not, and what an operation of one asks for."""
