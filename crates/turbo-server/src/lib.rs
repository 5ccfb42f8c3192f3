//! HTTP: the protocols clients already speak.
