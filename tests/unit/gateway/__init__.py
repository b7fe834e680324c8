"""Tests of the gateway's rules, on plain data and the fake clock."""
