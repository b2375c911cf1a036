//! Bytes to words and back: network and disk. Pure.
