//! Senders verified with answers of a real DNS server: see `tests/`.
