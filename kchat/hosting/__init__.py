"""The host's side: accounts, invitations, certificates."""
