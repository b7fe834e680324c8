"""Services: one pure step that decides every start and stop of a service, and the thin loop that runs it."""
