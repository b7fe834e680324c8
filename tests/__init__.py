"""Homeport's tests; `./tests/run.sh` runs every one of them."""
