"""The control-plane side: registration, the two websockets, state-change submission, back-off."""
